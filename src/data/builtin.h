// The built-in collection: procedural tasks that our own code generates from a seed, so that the
// whole program can be tried with nothing but the repository. docs/builtin-collection.md shows an
// example of each task.
//
// Tasks stand in clusters. The clusters `held_out_clusters()` are never trained on and share no
// generator, template or answer rule with the others. A named easy subset (16 tasks for training,
// the first four of the held-out cluster `reading`, and a corpus) fits a model of a million
// parameters.
//
// What recipes and commands call "builtin:NAME" is
//
//   for training       train, easy, cluster/NAME, TASK
//   for evaluation     seen, unseen-templates, held-out and the same of the easy subset (easy-seen,
//                      easy-unseen-templates, easy-held-out); cluster/NAME, TASK
//   for pretraining    corpus, easy-corpus
//
// and the first two take options after a question mark: builtin:train?difficulty=3&language=de.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/example.h"
#include "data/prompt.h"

namespace flanmoe::data::builtin {

struct TaskInfo {
  std::string name;
  std::string cluster;
  std::string description;
  std::vector<std::string> languages;  // ISO 639-1, or "mul"; more than one: a parallel task
  int64_t num_templates;               // for training, in every language
  int64_t num_unseen_templates;        // kept for evaluation: "unseen templates of seen tasks"
  bool is_easy;                        // in the named subset that the quickstart takes
  double chance;              // accuracy of a uniform guess among the choices, 0 for free answers
  bool is_held_out;           // its cluster is
  std::string level_changes;  // what a higher level of difficulty changes; "": it changes nothing
};

// In a fixed order.
const std::vector<TaskInfo>& tasks();
const std::vector<std::string>& held_out_clusters();

enum class Split { Train, Evaluation };
enum class TemplateSet { Seen, Unseen };

struct Options {
  int64_t difficulty = 2;                 // 1 to 5: lengths, sizes of numbers, hops, distractors
  std::string language;                   // "": one of the task's, drawn anew for every example
  std::optional<int64_t> template_index;  // none: drawn anew for every example
};

// Example `index` of a task: a pure function of its arguments, found in constant time. Train and
// evaluation never share an instance (the drawn content differs by construction: a hash of the
// content decides its split), whatever the seeds, levels and languages. The versions of a parallel
// task say the same in each language under the same index. Every example has `choices` and
// `answer_index` where the task is a classification, `rationale` (which ends in the answer) where
// there is a working to show, `fields`, `template_name`, and targets that are non-empty. Throws
// NotFound naming the nearest task or language, InvalidArgument for a level or a template that is
// none.
Example make_example(const std::string& task, Split split, TemplateSet templates, uint64_t seed,
                     uint64_t index, const Options& options = {});

// The training templates of a task, "seen_0", ...: what make_example() puts around the fields of an
// example, in the language of the example. Throws NotFound with the nearest task.
Prompts prompts(const std::string& task);

struct Selection {
  std::vector<TaskInfo> tasks;
  TemplateSet templates = TemplateSet::Seen;
  Options options;
};

// What "builtin:SPEC" names; with a language, the tasks that have it. Throws InvalidArgument for
// held-out tasks and clusters in training and for options that are none, NotFound with the nearest
// name.
Selection select_for_training(const std::string& spec);
Selection select_for_evaluation(const std::string& spec);

enum class Corpus { Full, Easy };

// Documents of the built-in corpus for span-corruption pretraining: short texts that state what the
// tasks ask about (facts of a small world, words of the generated languages, number words, lists,
// sums, units), never in instruction form and never with held-out questions. Pure function of
// (corpus, seed, index). The full one goes through the facts and words in turn: each is told within
// any 2880 documents that follow each other.
std::string make_document(uint64_t seed, uint64_t index, Corpus corpus = Corpus::Full);

// "builtin:corpus", "builtin:easy-corpus"; nothing for any other text.
std::optional<Corpus> find_corpus(const std::string& spec);

}  // namespace flanmoe::data::builtin
