#include "model/accounting.h"

#include "moe/router.h"

namespace flanmoe::model {
namespace {

struct StackShape {
  int64_t num_layers;
  const std::vector<int64_t>& sparse_layers;
  bool is_decoder;
};

int64_t attention_parameters(const ModelConfig& c) {
  return 4 * c.d_model * c.num_heads * c.d_kv;
}

int64_t feed_forward_parameters(const ModelConfig& c) {
  return (c.feed_forward == FeedForwardKind::GatedGelu ? 3 : 2) * c.d_model * c.d_ff;
}

int64_t experts_per_token(const ModelConfig& c) {
  return c.is_sparse() ? moe::make_router(c.moe)->experts_per_token() : 0;
}

void add_stack(const ModelConfig& c, const StackShape& stack, ParameterCounts& counts) {
  const int64_t num_sparse = static_cast<int64_t>(stack.sparse_layers.size());
  const int64_t num_attentions = stack.is_decoder ? 2 : 1;
  const int64_t shared = stack.num_layers * (num_attentions * attention_parameters(c) +
                                             (num_attentions + 1) * c.d_model) +
                         (stack.num_layers - num_sparse) * feed_forward_parameters(c) +
                         c.relative_attention_num_buckets * c.num_heads + c.d_model;
  const int64_t routers = num_sparse * c.moe.num_experts * c.d_model;
  const int64_t experts = num_sparse * c.moe.num_experts * feed_forward_parameters(c);
  counts.routers += routers;
  counts.experts += experts;
  counts.total += shared + routers + experts;
  counts.active +=
      shared + routers + num_sparse * experts_per_token(c) * feed_forward_parameters(c);
}

// Multiply-adds of one token in one stack, the attention scores aside.
double stack_multiply_adds(const ModelConfig& c, const StackShape& stack) {
  const double num_sparse = static_cast<double>(stack.sparse_layers.size());
  const double num_dense = static_cast<double>(stack.num_layers) - num_sparse;
  const double feed_forward = static_cast<double>(feed_forward_parameters(c));
  double total =
      static_cast<double>(stack.num_layers * attention_parameters(c)) + num_dense * feed_forward;
  if (num_sparse > 0)
    total += num_sparse * (static_cast<double>(experts_per_token(c)) * feed_forward +
                           static_cast<double>(c.d_model * c.moe.num_experts));
  // A decoder's queries and outputs of cross-attention; its keys and values are computed per input
  // token.
  if (stack.is_decoder)
    total += static_cast<double>(stack.num_layers * attention_parameters(c) / 2);
  return total;
}

}  // namespace

ParameterCounts count_parameters(const ModelConfig& c) {
  ParameterCounts counts;
  counts.embedding = c.vocab_size * c.d_model * (c.has_tied_embeddings ? 1 : 2);
  counts.total = counts.active = counts.embedding;
  add_stack(c, {c.num_layers, c.encoder_sparse_layers, false}, counts);
  add_stack(c, {c.num_decoder_layers, c.decoder_sparse_layers, true}, counts);
  return counts;
}

FlopsPerToken count_flops_per_token(const ModelConfig& c, int64_t input_length,
                                    int64_t target_length) {
  const double attention_width = static_cast<double>(c.num_heads * c.d_kv);
  const double input = static_cast<double>(input_length),
               target = static_cast<double>(target_length);
  double encoder = stack_multiply_adds(c, {c.num_layers, c.encoder_sparse_layers, false});
  encoder += static_cast<double>(c.num_decoder_layers * attention_parameters(c) /
                                 2);  // cross-attention keys and values
  encoder += static_cast<double>(c.num_layers) * 2 * input * attention_width;
  double decoder = stack_multiply_adds(c, {c.num_decoder_layers, c.decoder_sparse_layers, true});
  decoder += static_cast<double>(c.d_model * c.vocab_size);
  decoder += static_cast<double>(c.num_decoder_layers) * 2 * (target + input) * attention_width;
  return {2 * encoder, 2 * decoder};
}

double count_train_flops(const ModelConfig& config, int64_t num_input_tokens,
                         int64_t num_target_tokens, int64_t input_length, int64_t target_length) {
  const FlopsPerToken flops = count_flops_per_token(config, input_length, target_length);
  return 3 * (flops.encoder * static_cast<double>(num_input_tokens) +
              flops.decoder * static_cast<double>(num_target_tokens));
}

}  // namespace flanmoe::model
