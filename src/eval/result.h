// What an evaluation gives: a value a task, with the examples' scores behind it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace flanmoe::eval {

struct TemplateResult {
  std::string name;
  double value = 0;
  std::vector<double> scores;  // per example, in the order of the suite
};

struct TaskResult {
  std::string name, cluster;
  std::string group;   // tasks of one group count as one in means; "": by itself
  std::string metric;  // "accuracy", "exact_match", ...
  double value = 0, ci_low = 0, ci_high = 0, chance = 0;
  int64_t num_examples = 0, num_truncated = 0, num_dropped_exemplars = 0;
  Json protocol;  // how it was asked and judged (eval/protocol.h)
  // Per example, in the order of the suite: its value by itself, 0 to 1, and its id (the place in
  // the suite where it has none).
  std::vector<double> scores;
  std::vector<std::string> ids;
  // With scores_templates:
  std::vector<TemplateResult> templates;  // by name, in its order
  std::vector<size_t> template_of;        // per example, which of them
  double template_median = 0, template_mean = 0;
};
// What each of these tasks counts in their mean, where those of one group count as one; sums to 1.
std::vector<double> weights_in_mean(const std::vector<const TaskResult*>& tasks);

// The mean over the tasks of one cluster.
struct CategoryResult {
  std::string name;
  int64_t num_tasks = 0;
  double value = 0, ci_low = 0, ci_high = 0;
};

struct MissingResult {
  std::string task, reason;
};

struct SuiteResult {
  std::string suite, model, model_hash;
  std::vector<TaskResult> tasks;
  std::vector<CategoryResult> categories;  // by name
  std::vector<MissingResult> missing;      // tasks whose data was not there
  double mean = 0;                         // over tasks
  double mean_ci_low = 0, mean_ci_high = 0;
  double mean_chance = 0;
  // With scores_templates, means over tasks: of the median over templates, with its 95 % bootstrap
  // interval, and of the mean over templates.
  bool scores_templates = false;
  double median_mean = 0, median_ci_low = 0, median_ci_high = 0;
  double template_mean = 0;
};

// As DESIGN.md "eval", with every example's score under "scores" so that paired comparisons can be
// made later, and `settings` under "config"; and back.
Json to_json(const SuiteResult& result, const Json& settings);
SuiteResult parse_result(const Json& json, const std::string& where);

}  // namespace flanmoe::eval
