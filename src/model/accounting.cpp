#include "model/accounting.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

#include "model/blocks.h"
#include "model/model.h"
#include "moe/feed_forward.h"
#include "moe/router.h"
#include "peft/adapter.h"

namespace flanmoe::model {
namespace {

struct StackShape {
  int64_t num_layers;
  const std::vector<int64_t>& sparse_layers;
  bool is_decoder;
};

StackShape encoder_shape(const ModelConfig& c) {
  return {c.num_layers, c.encoder_sparse_layers, false};
}
StackShape decoder_shape(const ModelConfig& c) {
  return {c.num_decoder_layers, c.decoder_sparse_layers, true};
}

int64_t attention_parameters(const ModelConfig& c) {
  return 4 * c.d_model * c.num_heads * c.d_kv;
}

int64_t feed_forward_parameters(const nn::FeedForwardConfig& block) {
  return (block.is_gated ? 3 : 2) * block.d_model * block.d_ff;
}

// The sparse block of a stack.
struct SparseBlock {
  int64_t router = 0, expert = 0, num_experts = 0, extra = 0;
  double experts_per_token = 0;
};

SparseBlock sparse_block(const ModelConfig& c, const StackShape& stack, bool is_training) {
  if (stack.sparse_layers.empty()) return {};
  const moe::Config& moe = c.moe_of(stack.is_decoder);
  const auto router = moe::make_router(moe);
  SparseBlock block;
  block.num_experts = moe.num_experts;
  block.router = router->is_learned() ? moe.num_experts * c.d_model : 0;
  block.expert = feed_forward_parameters(moe::expert_config(feed_forward_config(c), moe));
  block.extra = moe.has_extra_feed_forward ? feed_forward_parameters(feed_forward_config(c)) : 0;
  block.experts_per_token = router->experts_per_token(is_training, stack.is_decoder);
  return block;
}

void add_stack(const ModelConfig& c, const StackShape& stack, ParameterCounts& counts) {
  const int64_t num_sparse = static_cast<int64_t>(stack.sparse_layers.size());
  const int64_t num_attentions = stack.is_decoder ? 2 : 1;
  const SparseBlock sparse = sparse_block(c, stack, false);
  const int64_t extra = sparse.extra == 0 ? 0 : num_sparse * (sparse.extra + c.d_model);
  const int64_t shared =
      stack.num_layers *
          (num_attentions * attention_parameters(c) + (num_attentions + 1) * c.d_model) +
      (stack.num_layers - num_sparse) * feed_forward_parameters(feed_forward_config(c)) +
      c.relative_attention_num_buckets * c.num_heads + c.d_model + extra;
  const int64_t routers = num_sparse * sparse.router;
  const int64_t experts = num_sparse * sparse.num_experts * sparse.expert;
  counts.routers += routers;
  counts.experts += experts;
  counts.total += shared + routers + experts;
  counts.active += shared + routers +
                   num_sparse * static_cast<int64_t>(std::llround(
                                    sparse.experts_per_token * static_cast<double>(sparse.expert)));
}

// Multiply-adds of one token in the blocks of one stack from `first_block` on, the attention scores
// aside.
double stack_multiply_adds(const ModelConfig& c, const StackShape& stack, bool is_training,
                           int64_t first_block = 0) {
  const double num_layers = static_cast<double>(stack.num_layers - first_block);
  const double num_sparse =
      static_cast<double>(std::count_if(stack.sparse_layers.begin(), stack.sparse_layers.end(),
                                        [&](int64_t layer) { return layer >= first_block; }));
  const double num_dense = num_layers - num_sparse;
  const SparseBlock sparse = sparse_block(c, stack, is_training);
  double total = num_layers * static_cast<double>(attention_parameters(c)) +
                 num_dense * static_cast<double>(feed_forward_parameters(feed_forward_config(c))) +
                 num_sparse * (sparse.experts_per_token * static_cast<double>(sparse.expert) +
                               static_cast<double>(sparse.router + sparse.extra));
  // A decoder's queries and outputs of cross-attention; its keys and values are computed per input
  // token.
  if (stack.is_decoder) total += num_layers * static_cast<double>(attention_parameters(c) / 2);
  return total;
}

}  // namespace

ParameterCounts count_parameters(const ModelConfig& c) {
  ParameterCounts counts;
  counts.embedding = c.vocab_size * c.d_model * (c.has_tied_embeddings ? 1 : 2);
  counts.total = counts.active = counts.embedding;
  add_stack(c, encoder_shape(c), counts);
  add_stack(c, decoder_shape(c), counts);
  return counts;
}

FlopsPerToken count_flops_per_token(const ModelConfig& c, int64_t input_length,
                                    int64_t target_length, bool is_training) {
  const double attention_width = static_cast<double>(c.num_heads * c.d_kv);
  const double input = static_cast<double>(input_length),
               target = static_cast<double>(target_length);
  double encoder = stack_multiply_adds(c, encoder_shape(c), is_training);
  encoder += static_cast<double>(c.num_decoder_layers * attention_parameters(c) /
                                 2);  // cross-attention keys and values
  encoder += static_cast<double>(c.num_layers) * 2 * input * attention_width;
  double decoder = stack_multiply_adds(c, decoder_shape(c), is_training);
  decoder += static_cast<double>(c.d_model * c.vocab_size);
  decoder += static_cast<double>(c.num_decoder_layers) * 2 * (target + input) * attention_width;
  return {2 * encoder, 2 * decoder};
}

double count_train_flops(const ModelConfig& config, int64_t num_input_tokens,
                         int64_t num_target_tokens, int64_t input_length, int64_t target_length) {
  const FlopsPerToken flops = count_flops_per_token(config, input_length, target_length, true);
  return 3 * (flops.encoder * static_cast<double>(num_input_tokens) +
              flops.decoder * static_cast<double>(num_target_tokens));
}

namespace {

// Of one stack ("encoder."): the lowest block with a part of the adapter, the number of blocks
// where only what comes behind them has one; -1: no part at all. What is in no stack is in front of
// the encoder.
int64_t find_lowest_block(const peft::Adapter& adapter, std::string_view stack,
                          int64_t num_layers) {
  constexpr std::string_view kBlock = "block.";
  int64_t lowest = -1;
  for (const nn::Parameter& parameter : adapter.parameters()) {
    std::string_view name = parameter.name;
    const bool is_in_stack = name.starts_with("encoder.") || name.starts_with("decoder.");
    if (is_in_stack ? !name.starts_with(stack) : stack != "encoder.") continue;
    if (is_in_stack) name.remove_prefix(stack.size());
    int64_t block = name.starts_with("final_layer_norm") ? num_layers : 0;
    if (name.starts_with(kBlock))
      std::from_chars(name.data() + kBlock.size(), name.data() + name.size(), block);
    lowest = lowest < 0 ? block : std::min(lowest, block);
  }
  return lowest;
}

}  // namespace

double count_train_flops(const ModelConfig& c, const peft::Adapter& adapter,
                         int64_t num_input_tokens, int64_t num_target_tokens, int64_t input_length,
                         int64_t target_length) {
  const auto input_tokens = static_cast<double>(num_input_tokens),
             target_tokens = static_cast<double>(num_target_tokens);
  const FlopsPerToken forward = count_flops_per_token(c, input_length, target_length, true);
  const int64_t encoder_block = find_lowest_block(adapter, "encoder.", c.num_layers),
                decoder_block = find_lowest_block(adapter, "decoder.", c.num_decoder_layers);
  // gradients flow through these blocks and all behind them
  const bool is_encoder_reached = encoder_block >= 0;
  const int64_t first_encoder = is_encoder_reached ? encoder_block : c.num_layers,
                first_decoder = is_encoder_reached  ? 0
                                : decoder_block < 0 ? c.num_decoder_layers
                                                    : decoder_block;
  const double attention_width = static_cast<double>(c.num_heads * c.d_kv);
  const auto scores = [&](int64_t num_layers, int64_t num_keys) {
    return 2.0 * static_cast<double>(num_layers * 2 * num_keys) * attention_width;
  };
  double backward_encoder = 2 * stack_multiply_adds(c, encoder_shape(c), true, first_encoder) +
                            2 * scores(c.num_layers - first_encoder, input_length);
  if (is_encoder_reached)  // cross-attention's keys and values
    backward_encoder += static_cast<double>(c.num_decoder_layers * attention_parameters(c));
  const double backward_decoder =
      2 * stack_multiply_adds(c, decoder_shape(c), true, first_decoder) +
      2 * static_cast<double>(c.d_model * c.vocab_size) +
      2 * scores(c.num_decoder_layers - first_decoder, target_length + input_length);
  return (forward.encoder + backward_encoder + 3 * adapter.flops_per_token(false)) * input_tokens +
         (forward.decoder + backward_decoder + 3 * adapter.flops_per_token(true)) * target_tokens;
}

double count_train_flops(const Model& model, int64_t num_input_tokens, int64_t num_target_tokens,
                         int64_t input_length, int64_t target_length) {
  const std::optional<int64_t> active = model.active_adapter();
  return active ? count_train_flops(model.config(), model.adapter(*active), num_input_tokens,
                                    num_target_tokens, input_length, target_length)
                : count_train_flops(model.config(), num_input_tokens, num_target_tokens,
                                    input_length, target_length);
}

}  // namespace flanmoe::model
