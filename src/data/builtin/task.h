// What a cluster's file says about each of its tasks; builtin.cpp turns that into examples.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"

namespace flanmoe::data::builtin {

// What one example is drawn for.
struct Request {
  uint64_t answer_class;  // below TaskDefinition::num_classes
  int64_t level;          // of difficulty, 1 to 5
  std::string language;   // one of the task's
};

// The content of one example before a template is put around it.
struct Draft {
  std::map<std::string, std::string> fields;
  std::vector<std::string> choices;  // empty: free answer
  std::string answer;
  // What makes it this instance: its hash decides the split. Two drafts that differ only in the
  // order of options or in the language have the same identity.
  std::string identity;
  std::string rationale = {};  // a worked solution that ends in the answer
};

struct TemplateTexts {
  std::vector<std::string> seen, unseen;
};

struct TaskDefinition {
  std::string name;
  std::string cluster;
  std::string description;
  bool is_easy = false;
  int64_t num_choices = 0;   // 0: free answer
  uint64_t num_classes = 1;  // answer classes, drawn uniformly before the content, so that answers
                             // are balanced in both splits
  Draft (*draw)(RandomStream& random, const Request& request) = nullptr;
  std::vector<std::string> templates = {};  // in English
  std::vector<std::string> unseen_templates = {};
  std::string level_changes = {};  // what a higher level of difficulty changes; "": nothing
  // Templates in further languages: the task is parallel, the content of an example does not depend
  // on the language in which it is put.
  std::map<std::string, TemplateTexts> translations = {};
  std::string language = "en";  // of `templates`
};

// A value for each of the five levels.
template <class T>
const T& at_level(int64_t level, const std::array<T, 5>& values) {
  return values.at(static_cast<size_t>(level - 1));
}

std::vector<TaskDefinition> make_topics_tasks();
std::vector<TaskDefinition> make_sentiment_tasks();
std::vector<TaskDefinition> make_inference_tasks();
std::vector<TaskDefinition> make_transform_tasks();
std::vector<TaskDefinition> make_arithmetic_tasks();
std::vector<TaskDefinition> make_counting_tasks();
std::vector<TaskDefinition> make_measures_tasks();
std::vector<TaskDefinition> make_world_knowledge_tasks();
std::vector<TaskDefinition> make_translation_tasks();
std::vector<TaskDefinition> make_multilingual_tasks();
// The held-out clusters.
std::vector<TaskDefinition> make_reading_tasks();
std::vector<TaskDefinition> make_ordering_tasks();
std::vector<TaskDefinition> make_cloze_tasks();
std::vector<TaskDefinition> make_tables_tasks();

// In the fixed order of the collection.
std::vector<TaskDefinition> make_all_tasks();
const std::vector<std::string>& held_out_cluster_names();

}  // namespace flanmoe::data::builtin
