// A suite: tasks with their examples.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/example.h"

namespace flanmoe::eval {

struct Task {
  std::string name;
  std::string cluster;
  std::vector<data::Example> examples;
  std::vector<data::Example> exemplars;  // pool for few-shot; empty: the task's other examples
  double chance = -1;                    // < 0: mean of 1 / number of choices
};

struct Suite {
  std::string name;
  std::vector<Task> tasks;
};

// "builtin:seen", "builtin:held-out" and what else data/builtin.h names (with `num_examples` a
// task), or JSONL files / folders (one task a task name in the lines). Several specs may be given,
// separated by commas. `all_templates`: each of the examples of a generated task with every
// template of it, one template after the other; else with one that is drawn.
Suite open_suite(const std::string& spec, uint64_t seed, int64_t num_examples = 100,
                 bool all_templates = false);

}  // namespace flanmoe::eval
