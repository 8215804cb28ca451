// A suite: tasks with examples, scored by rank classification where they have choices and by exact
// match of greedy output where they have none.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/json_fwd.h"
#include "data/example.h"
#include "generate/generate.h"
#include "model/folder.h"

namespace flanmoe::eval {

enum class Protocol { Auto, RankClassification, ExactMatch };

}  // namespace flanmoe::eval

template <>
struct flanmoe::EnumNames<flanmoe::eval::Protocol> {
  static constexpr std::pair<eval::Protocol, std::string_view> values[] = {
      {eval::Protocol::Auto, "auto"},
      {eval::Protocol::RankClassification, "rank-classification"},
      {eval::Protocol::ExactMatch, "exact-match"}};
};

namespace flanmoe::eval {

struct Config {
  Protocol protocol = Protocol::Auto;  // auto: rank classification where an example has choices
  int64_t num_shots = 0;               // exemplars of the same task put before the input
  int64_t max_examples = 0;            // a task; 0: all
  int64_t input_length = 512;          // longer inputs are cut and counted
  int64_t max_new_tokens = 32;
  int64_t max_batch_tokens = 8192;
  int64_t seed = 0;               // of exemplars and of the subset when max_examples cuts
  bool scores_templates = false;  // as P3 is scored: every template of a task by itself
  template <class Visitor>
  void visit(Visitor& v) {
    v("protocol", protocol, "auto, rank-classification or exact-match");
    v("num_shots", num_shots, "exemplars put before every input");
    v("max_examples", max_examples, "examples a task; 0 takes all");
    v("input_length", input_length,
      "longest input in tokens; exemplars that do not fit are dropped from the front, then the "
      "input is cut");
    v("max_new_tokens", max_new_tokens, "longest generated answer");
    v("max_batch_tokens", max_batch_tokens, "padded input tokens a batch");
    v("seed", seed, "seed of exemplars and subsets");
    v("scores_templates", scores_templates,
      "accuracy a template and its median over the templates of a task, as T0 and P3 are scored; "
      "generated suites ask every example with every template, lines of a file say theirs as "
      "'template', and max_examples counts a template's");
  }
};

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

struct TemplateResult {
  std::string name;
  double value = 0;
  std::vector<double> correct;  // per example, 0 or 1, in the order of the suite
};

struct TaskResult {
  std::string name, cluster, metric;  // metric "accuracy" or "exact_match"
  double value = 0, ci_low = 0, ci_high = 0, chance = 0;
  int64_t num_examples = 0, num_truncated = 0, num_dropped_exemplars = 0;
  std::vector<double> correct;  // per example, 0 or 1, in the order of the suite
  // With scores_templates:
  std::vector<TemplateResult> templates;  // by name, in its order
  std::vector<size_t> template_of;        // per example, which of them
  double template_median = 0, template_mean = 0;
};
struct SuiteResult {
  std::string suite, model, model_hash;
  std::vector<TaskResult> tasks;
  double mean = 0;  // over tasks
  double mean_chance = 0;
  // With scores_templates, means over tasks: of the median over templates, with its 95 % bootstrap
  // interval, and of the mean over templates.
  bool scores_templates = false;
  double median_mean = 0, median_ci_low = 0, median_ci_high = 0;
  double template_mean = 0;
};

SuiteResult evaluate(const model::LoadedModel& loaded, const Suite& suite, const Config& config,
                     at::ScalarType compute_dtype);
// As DESIGN.md "eval", with per-example correctness under "correct" so that paired comparisons can
// be made later; and back.
Json to_json(const SuiteResult& result, const Config& config);
SuiteResult parse_result(const Json& json, const std::string& where);

// Lower case, trimmed, single spaces, no final full stop: what exact match compares.
std::string normalise_answer(const std::string& text);

}  // namespace flanmoe::eval
