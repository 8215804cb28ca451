// Small models with random weights.
#pragma once

#include "base/random.h"
#include "model/model.h"

namespace flanmoe::testing {

inline model::ModelConfig tiny_config() {
  model::ModelConfig config;
  config.vocab_size = 50;
  config.d_model = 16;
  config.d_kv = 8;
  config.d_ff = 24;
  config.num_layers = 2;
  config.num_decoder_layers = 2;
  config.num_heads = 2;
  return config;
}

// Two of its four layers are sparse; no capacity limit, so batches do not matter.
inline model::ModelConfig tiny_sparse_config() {
  model::ModelConfig config = tiny_config();
  config.moe.num_experts = 4;
  config.moe.is_dropless = true;
  config.set_moe(config.moe);
  config.encoder_sparse_layers = {1};
  config.decoder_sparse_layers = {1};
  return config;
}

// Ids 2 and up, </s> at the end.
inline std::vector<int32_t> random_row(const model::ModelConfig& config, size_t length,
                                       uint64_t seed) {
  RandomStream random(RandomKey(seed, RandomPurpose::Generator));
  std::vector<int32_t> row;
  while (row.size() + 1 < length)
    row.push_back(
        static_cast<int32_t>(2 + random.below(static_cast<uint64_t>(config.vocab_size - 2))));
  row.push_back(1);
  return row;
}

}  // namespace flanmoe::testing
