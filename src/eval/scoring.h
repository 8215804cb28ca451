// Log-likelihoods of targets given inputs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "eval/expert_usage.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace flanmoe::eval {

struct Score {
  double log_likelihood = 0;  // sum over target tokens, </s> included
  int64_t num_tokens = 0;     // in the sum
};

struct Query {
  std::vector<int32_t> input_ids;                // with </s>
  std::vector<std::vector<int32_t>> target_ids;  // one or more (answer choices), each with </s>
  std::optional<int64_t>
      adapter;  // by its number in the model, -1 the base alone; none: the active
};

struct ScoreOptions {
  // A sparse model drops what is above its config's evaluation capacity, which makes a result hang
  // on its batch where the routing group is larger than a sequence. False: nn::Context.
  bool uses_capacity = false;
  bool leaves_out_eos = false;  // a target's last token is not summed (nor counted) if it is </s>
  // Takes that of every query, over its input and all its targets (what those share counts once);
  // null: not collected.
  std::vector<ExpertUsage>* expert_usage = nullptr;
};

// One list a query, one Score a target. The encoder runs once a query however many targets it has;
// what its targets begin with is decoded once, and all look at one set of cross-attention keys and
// values. Batched by number of targets and length; the result does not depend on the batching
// beyond rounding. Sums are in double. `sink` may be null; it meets a token that targets share
// once.
std::vector<std::vector<Score>> score(const model::Model& model, const std::vector<Query>& queries,
                                      at::ScalarType compute_dtype, int64_t max_batch_tokens = 8192,
                                      nn::RoutingSink* sink = nullptr,
                                      const std::string& progress_label = {},
                                      const ScoreOptions& options = {});

}  // namespace flanmoe::eval
