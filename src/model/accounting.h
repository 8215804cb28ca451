// Parameters and FLOPs of a model from its config alone. FLOPs are 2 x multiply-adds of matmuls,
// forward (DESIGN.md, "What is compared with what"); attention scores are counted for the given
// lengths. Convention of facts.md item 44 (active parameters) is printed beside it.
#pragma once

#include <cstdint>

#include "model/config.h"

namespace flanmoe::peft {
class Adapter;
}

namespace flanmoe::model {

class Model;

struct ParameterCounts {
  int64_t total = 0;
  int64_t active =
      0;  // a token's share: of every sparse layer, the experts that top_k uses and the router
  int64_t embedding = 0;
  int64_t routers = 0;
  int64_t experts = 0;
};
ParameterCounts count_parameters(const ModelConfig& config);

struct FlopsPerToken {
  double encoder =
      0;  // a token of the input through the encoder (cross-attention keys and values included)
  double decoder = 0;  // a token of the target through the decoder and the output matrix
};
// Attention scores for rows of the given lengths; 0 leaves them out. Expert choice may give a token
// other numbers of experts in training.
FlopsPerToken count_flops_per_token(const ModelConfig& config, int64_t input_length = 0,
                                    int64_t target_length = 0, bool is_training = false);
// Forward and backward (3 x forward) of a batch with so many real tokens and mean lengths.
double count_train_flops(const ModelConfig& config, int64_t num_input_tokens,
                         int64_t num_target_tokens, int64_t input_length, int64_t target_length);
// Where `adapter` is trained and the model's own weights are frozen: products with these weights
// cost 2 x forward (the output, and the gradient of the input; none of the weights), attention
// scores and the adapter's own products 3 x. What lies below the lowest block that has a part of
// the adapter is computed forward only, 1 x: of the encoder where only the decoder has parts all of
// it, of the decoder nothing where the encoder has parts.
double count_train_flops(const ModelConfig& config, const peft::Adapter& adapter,
                         int64_t num_input_tokens, int64_t num_target_tokens, int64_t input_length,
                         int64_t target_length);
// With the model's active adapter where it has one.
double count_train_flops(const Model& model, int64_t num_input_tokens, int64_t num_target_tokens,
                         int64_t input_length, int64_t target_length);

}  // namespace flanmoe::model
