// A model and a task small enough to train in a test.
#pragma once

#include <string>

#include "base/random.h"
#include "model/folder.h"
#include "train/trainer.h"

namespace flanmoe::train {

inline model::ModelConfig tiny_model_config(bool is_sparse) {
  model::ModelConfig config;
  config.vocab_size = 48;
  config.d_model = 24;
  config.d_kv = 8;
  config.d_ff = 40;
  config.num_heads = 3;
  config.num_layers = config.num_decoder_layers = 2;
  config.dropout_rate = 0.1;
  if (is_sparse) {
    config.encoder_sparse_layers = config.decoder_sparse_layers = {1};
    config.moe.num_experts = 4;
    config.set_moe(config.moe);
  }
  return config;
}

inline model::LoadedModel make_tiny_model(bool is_sparse = true) {
  model::LoadedModel loaded;
  loaded.model = std::make_unique<model::Model>(tiny_model_config(is_sparse), 5);
  return loaded;
}

// Inputs are random tokens, the target is the first of them.
inline data::TokenizedExample draw_first_token(uint64_t position) {
  RandomStream random(RandomKey(31, RandomPurpose::Generator).fold(position));
  data::TokenizedExample example;
  example.key = mix64(position);
  const int64_t length = random.between(2, 9);
  for (int64_t i = 0; i < length; ++i)
    example.inputs.push_back(static_cast<int32_t>(random.between(3, 47)));
  example.targets = {example.inputs.front(), 1};
  example.inputs.push_back(1);
  return example;
}

inline Config tiny_config() {
  Config config;
  config.steps = 12;
  config.learning_rate = 0.01;
  config.warmup_steps = 3;
  config.log_every = 5;
  config.seed = 11;
  config.batch.batch_size = 6;
  config.batch.input_length = 8;
  config.batch.target_length = 4;
  config.batch.bucket_batches = 4;
  config.optimizer.min_factored_dim = 16;
  return config;
}

inline Job tiny_job(const std::string& out, bool resumes = false) {
  Job job;
  job.out = out;
  job.resumes = resumes;
  job.label = "tiny";
  job.draw = draw_first_token;
  job.data_description = "first token";
  return job;
}

}  // namespace flanmoe::train
