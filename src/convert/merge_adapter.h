// An adapter folded into the weights of its base: a plain model that computes the same.
#pragma once

#include <string>

#include "model/folder.h"
#include "peft/adapter.h"

namespace flanmoe::convert {

// Throws Unsupported on a config whose adapters no fixed weight can stand for, saying why: mixtures
// (every token has weights of its own) and prompts (tokens before the input).
void check_mergeable(const peft::Config& config);

// Changes the weights of `model`, which the adapter was made for, so that the base alone computes
// what base and adapter did:
//   LoRA    W + alpha / r B A
//   (IA)3   diag(l) W; of the activated value, wo diag(l)
//   norm    the tuned weight
// Products in at least fp32. The adapter must not be used with it any more.
void merge_adapter(model::Model& model, const peft::Adapter& adapter);

struct MergeResult {
  model::ModelConfig config;
  int64_t num_weights = 0;  // changed
};
// A whole model folder from an adapter's, tokenizer included; weights of `dtype`.
MergeResult merge_folder(const std::string& adapter_folder, const std::string& out,
                         at::ScalarType dtype = at::kFloat, const model::LoadOptions& options = {});

}  // namespace flanmoe::convert
