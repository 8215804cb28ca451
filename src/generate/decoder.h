// A batch of prompts decoded one token at a time. The encoder runs once; keys and values of what
// was decoded are kept.
//
// Shape letters: R rows, V vocabulary.
#pragma once

#include <cstdint>
#include <vector>

#include "generate/batching.h"
#include "model/model.h"
#include "nn/kv_cache.h"

namespace flanmoe::generate {

class Decoder {
 public:
  // One row a prompt, ids with </s>. `adapter_of_prompt` as generate() has it.
  Decoder(const model::Model& model, const TokenRows& prompts, int64_t max_new_tokens,
          at::ScalarType compute_dtype, const std::vector<int64_t>& adapter_of_prompt = {});
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  int64_t num_rows() const { return static_cast<int64_t>(row_keys_.size()); }
  // Appends a token to every row (the start id in the first call) and gives the logits of the one
  // after it, [R, V] in the compute dtype.
  at::Tensor step(const std::vector<int64_t>& token_ids);
  // Row i becomes old row row_index[i]; rows may be dropped and repeated.
  void select_rows(const std::vector<int64_t>& row_index);

 private:
  const model::Model& model_;
  nn::KvCache cache_;
  nn::Context context_;
  std::vector<uint64_t> row_keys_;
  nn::TokenLayout encoder_layout_;
  at::Tensor encoded_;  // dropped after the first step: the cache has its keys and values then
};

}  // namespace flanmoe::generate
