// What a user says of a mixture: its collections, how they are weighted, what is asked of them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "data/mixture/prompter.h"
#include "data/source.h"

namespace flanmoe::data {

// What a task's rate is before caps and temperature (facts.md items 14 and 69).
enum class RateRule {
  Examples,   // min(examples, max_examples): FLAN
  Templates,  // examples x templates up to max_examples examples, else max_examples: P3, T0
  Equal,      // 1
};

}  // namespace flanmoe::data

template <>
struct flanmoe::EnumNames<flanmoe::data::RateRule> {
  static constexpr std::pair<data::RateRule, std::string_view> values[] = {
      {data::RateRule::Examples, "examples"},
      {data::RateRule::Templates, "templates"},
      {data::RateRule::Equal, "equal"}};
};

namespace flanmoe::data {

struct CollectionSource : SourceConfig {
  std::string obtain;  // where a user gets it
  template <class Visitor>
  void visit(Visitor& v) {
    SourceConfig::visit(v);
    v("obtain", obtain, "where to get it and in what form");
  }
};

// Tasks that are weighted together: Muffin, T0-SF, SNI, CoT, ...
struct CollectionConfig {
  std::string name;
  std::string description;
  std::string obtain;            // of sources that do not say it themselves
  std::optional<double> weight;  // share among the collections, in any unit; all have one or none
  RateRule rate = RateRule::Examples;
  int64_t max_examples = 30000;
  double temperature = 1.0;
  std::map<std::string, double> cluster_weights;      // all clusters or none
  std::map<std::string, double> task_weights;         // instead of the task's rate
  std::vector<std::string> tasks;                     // regular expressions; none: all
  std::vector<std::string> excluded_tasks;            // regular expressions
  std::vector<std::string> derived_from;              // tasks, data sets, clusters or collections
  std::map<std::string, std::string> template_tasks;  // task -> its name in the files of templates
  PromptingConfig prompting;
  std::vector<CollectionSource> sources;
  template <class Visitor>
  void visit(Visitor& v) {
    v("name", name, "name of the collection");
    v("description", description, "what it is");
    v("obtain", obtain, "where to get the sources that do not say it themselves");
    v("weight", weight, "share among the collections, in any unit; all of them have one or none");
    v("rate", rate, "a task's rate: its examples, examples x templates (P3), or equal");
    v("max_examples", max_examples, "cap on the examples of a task that count for its rate");
    v("temperature", temperature, "rates are raised to 1 / temperature");
    v("cluster_weights", cluster_weights, "shares of clusters, in any unit; all of them or none");
    v("task_weights", task_weights, "rates of single tasks, in the unit of the others");
    v("tasks", tasks, "regular expressions on names of tasks to take; none takes all");
    v("excluded_tasks", excluded_tasks, "regular expressions on names of tasks to leave out");
    v("derived_from", derived_from, "what all of it is derived from, for holding out");
    v("template_tasks", template_tasks, "task = its name in the files of templates");
    prompting.visit(v);
    v("sources", sources, "files and folders");
  }
};

// What is known of a task beyond its data.
struct TaskConfig {
  std::string name;  // of one task; a regular expression where several are meant
  std::string cluster;
  std::string dataset;
  std::vector<std::string> derived_from;
  template <class Visitor>
  void visit(Visitor& v) {
    v("name", name, "name of the task, or a regular expression that matches the whole of it");
    v("cluster", cluster, "its cluster");
    v("dataset", dataset,
      "the data set it is made of; tasks of one data set are held out together");
    v("derived_from", derived_from, "tasks, data sets or clusters that it is made from");
  }
};

struct MixtureFile {
  std::string name;
  std::string description;
  std::vector<std::string> hold_out;
  std::vector<CollectionConfig> collections;
  std::vector<TaskConfig> tasks;
  template <class Visitor>
  void visit(Visitor& v) {
    v("name", name, "name of the mixture");
    v("description", description, "what it is");
    v("hold_out", hold_out, "clusters, data sets or tasks kept out of training");
    v("collections", collections, "what is mixed");
    v("tasks", tasks, "clusters, data sets and origins of tasks");
  }
};
// Throws InvalidConfig, NotFound.
MixtureFile load_mixture_file(const std::string& path);

// How a stage draws, whatever it draws from.
struct MixtureConfig {
  // Of collections that are made of plain paths:
  int64_t max_examples = 30000;  // facts.md item 14
  double temperature = 1.0;
  OnError on_error = OnError::Stop;  // the key data.on_error, read by who owns this
  // Of every mixture:
  std::string folder;                 // that relative paths of a mixture file begin at
  bool allows_missing = false;        // draw from the sources that are there
  std::vector<std::string> hold_out;  // on top of the file's
  int64_t num_tasks = 0;              // a random subset; larger ones contain smaller ones
  int64_t num_examples = 0;           // distinct examples in all, shared out by rate
  int64_t subset_seed = 0;
  template <class Visitor>
  void visit(Visitor& v) {
    v("max_examples", max_examples, "cap on the size of a task in examples-proportional mixing");
    v("temperature", temperature, "rates are raised to 1 / temperature");
    v("folder", folder, "folder that relative paths of a mixture file begin at; empty: its own");
    v("allows_missing", allows_missing, "draw from the sources that are there");
    v("hold_out", hold_out, "clusters, data sets or tasks kept out, with all derived from them");
    v("num_tasks", num_tasks, "a random subset of so many tasks, nested; 0 takes all");
    v("num_examples", num_examples,
      "so many distinct examples in all, shared out by rate; 0 takes all");
    v("subset_seed", subset_seed, "of the subsets of tasks and examples");
  }
};

}  // namespace flanmoe::data
