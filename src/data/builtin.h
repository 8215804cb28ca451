// The built-in collection: procedural tasks that our own code generates from a seed, so that the
// whole program can be tried with nothing but the repository. At least 16 tasks in 5 clusters, at
// least 3 instruction templates a task. The cluster `held_out_cluster()` is never trained on and
// shares no generator, template or answer rule with the others.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/example.h"

namespace flanmoe::data::builtin {

struct TaskInfo {
  std::string name;
  std::string cluster;
  std::string description;
  int64_t num_templates;         // for training; unseen ones come on top
  int64_t num_unseen_templates;  // kept for evaluation: "unseen templates of seen tasks"
  bool is_easy;                  // in the named subset `easy` that the quickstart holds to 85 %
  double chance;  // accuracy of a uniform guess among the choices, 0 for free answers
};

// In a fixed order.
const std::vector<TaskInfo>& tasks();
const std::string& held_out_cluster();

enum class Split { Train, Evaluation };
enum class TemplateSet { Seen, Unseen };

// Example `index` of a task: a pure function of its arguments, found in constant time. Train and
// evaluation never share an instance (the drawn content differs by construction: a hash of the
// content decides its split). Every example has `choices` and `answer_index` where the task is a
// classification, `fields`, `template_name`, and targets that are non-empty.
Example make_example(const std::string& task, Split split, TemplateSet templates, uint64_t seed,
                     uint64_t index);

// Documents of the built-in corpus for span-corruption pretraining: short texts about the same
// small world (facts, lists, little stories, sums, transformed words), never in instruction form
// and never with held-out questions. Pure function of (seed, index).
std::string make_document(uint64_t seed, uint64_t index);

}  // namespace flanmoe::data::builtin
