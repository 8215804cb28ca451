// A suite's tasks, scored by rank classification where they have choices and by exact match of
// greedy output where they have none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/config.h"
#include "eval/result.h"
#include "eval/suite.h"
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

SuiteResult evaluate(const model::LoadedModel& loaded, const Suite& suite, const Config& config,
                     at::ScalarType compute_dtype);

}  // namespace flanmoe::eval
