// Log-likelihoods of targets given inputs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/model.h"
#include "text/tokenizer.h"

namespace flanmoe::eval {

struct Score {
  double log_likelihood = 0;  // sum over target tokens, </s> included
  int64_t num_tokens = 0;
};

struct Query {
  std::vector<int32_t> input_ids;                // with </s>
  std::vector<std::vector<int32_t>> target_ids;  // one or more (answer choices), each with </s>
  std::optional<int64_t>
      adapter;  // by its number in the model, -1 the base alone; none: the active
};

// One list a query, one Score a target. The encoder runs once a query however many targets it has.
// Batched by length; the result does not depend on the batching beyond rounding, with one
// exception: a sparse model with a capacity limit and the routing group `batch` drops tokens by
// what else is in the batch. Routing uses evaluation capacity; `sink` may be null.
std::vector<std::vector<Score>> score(const model::Model& model, const std::vector<Query>& queries,
                                      at::ScalarType compute_dtype, int64_t max_batch_tokens = 8192,
                                      nn::RoutingSink* sink = nullptr,
                                      const std::string& progress_label = {});

}  // namespace flanmoe::eval
