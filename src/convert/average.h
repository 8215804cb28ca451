// The mean of checkpoints of one model, as FLAN-MoE had for its largest one (arXiv 2305.14705).
#pragma once

#include <string>
#include <vector>

#include "checkpoint/named_tensors.h"
#include "model/config.h"

namespace flanmoe::convert {

// Writes into `out` the mean of the models in `folders`, tensor by tensor: sum of weight x value in
// float64, divided by the sum of the weights, rounded once to `dtype`. No `weights`: all 1. The
// tokenizer is that of the first folder. One tensor is in memory at a time; `out` appears whole
// or not at all. Throws InvalidArgument where there is no folder, weights are not as many as
// folders, negative or all 0, InvalidConfig naming the first key in which the configs differ,
// Interrupted on Ctrl-C. Returns the config of the result.
model::ModelConfig average_folders(const std::vector<std::string>& folders, const std::string& out,
                                   const std::vector<double>& weights = {},
                                   at::ScalarType dtype = at::kFloat,
                                   int64_t max_shard_bytes = checkpoint::kMaxShardBytes);

}  // namespace flanmoe::convert
