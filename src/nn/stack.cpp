#include "nn/stack.h"

#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>

#include "ops/autograd.h"
#include "ops/transformer.h"

namespace flanmoe::nn {

struct Stack::FeedForwardSublayer {
  std::string name;
  RmsNorm norm;
  std::unique_ptr<FeedForward> feed_forward;
  uint64_t site;
};

struct Stack::Block {
  std::string name;
  RmsNorm self_norm;
  Attention self_attention;
  std::unique_ptr<RmsNorm> cross_norm;
  std::unique_ptr<Attention> cross_attention;
  std::vector<FeedForwardSublayer> feed_forwards;  // one, or two
  uint64_t self_site, cross_site;
};

Stack::Stack(const StackConfig& config, const MakeFeedForward& make_feed_forward,
             const at::TensorOptions& options, const MakeFeedForward& make_extra)
    : config_(config),
      relative_attention_bias_NH_(
          at::empty({config.num_buckets, config.attention.num_heads}, at_least_float(options))
              .requires_grad_(true)),
      final_layer_norm_(config.attention.d_model, config.layer_norm_epsilon, options),
      input_site_(noise_site(config.name + ".input")),
      output_site_(noise_site(config.name + ".output")) {
  const auto make_norm = [&] {
    return RmsNorm(config.attention.d_model, config.layer_norm_epsilon, options);
  };
  for (int64_t i = 0; i < config.num_layers; ++i) {
    const std::string name = config.name + ".block." + std::to_string(i);
    const int64_t layer = config.is_decoder ? 2 : 1;
    const std::string feed_forward_name = name + ".layer." + std::to_string(layer),
                      extra_name = name + ".layer." + std::to_string(layer + 1);
    blocks_.push_back(std::make_unique<Block>(
        Block{name,
              make_norm(),
              Attention(config.attention, name + ".layer.0.SelfAttention", options),
              config.is_decoder ? std::make_unique<RmsNorm>(make_norm()) : nullptr,
              config.is_decoder ? std::make_unique<Attention>(
                                      config.attention, name + ".layer.1.EncDecAttention", options)
                                : nullptr,
              {},
              noise_site(name + ".layer.0"),
              noise_site(name + ".cross")}));
    auto& feed_forwards = blocks_.back()->feed_forwards;
    feed_forwards.push_back({feed_forward_name, make_norm(),
                             make_feed_forward(i, feed_forward_name),
                             noise_site(name + ".feed_forward")});
    if (auto extra = make_extra ? make_extra(i, extra_name) : nullptr)
      feed_forwards.push_back(
          {extra_name, make_norm(), std::move(extra), noise_site(name + ".extra_feed_forward")});
  }
}

Stack::~Stack() = default;

namespace {

void tell(const Context& context, const std::string& place, const at::Tensor& x_BLD) {
  if (context.activation_sink) context.activation_sink->record(place, x_BLD);
}

}  // namespace

at::Tensor Stack::drop(const at::Tensor& x, uint64_t site, const Context& context) const {
  if (!context.is_training) return x;
  return ops::dropout(
      x, context.regularisation.dropout_rate.value_or(config_.dropout_rate),
      {context.noise_key(RandomPurpose::Dropout, site).state(), context.tokens->token_keys_BL});
}

at::Tensor Stack::add_dropped(const at::Tensor& residual, const at::Tensor& x, uint64_t site,
                              const Context& context) const {
  if (!context.is_training) return at::add(residual, x);
  return ops::add_dropout(
      residual, x, context.regularisation.dropout_rate.value_or(config_.dropout_rate),
      {context.noise_key(RandomPurpose::Dropout, site).state(), context.tokens->token_keys_BL});
}

at::Tensor Stack::run_block(size_t index, at::Tensor x_BLD, const at::Tensor& bias_HQK,
                            const at::Tensor& memory_BKD, const Context& context) const {
  const Block& block = *blocks_[index];
  KvCache::Layer* layer = config_.is_decoder && context.cache
                              ? &context.cache->layer(static_cast<int64_t>(index))
                              : nullptr;
  x_BLD =
      add_dropped(x_BLD,
                  block.self_attention.forward_self(block.self_norm.forward(x_BLD, context),
                                                    bias_HQK, config_.is_decoder, context, layer),
                  block.self_site, context);
  tell(context, block.name + ".layer.0", x_BLD);
  if (block.cross_attention) {
    x_BLD = add_dropped(x_BLD,
                        block.cross_attention->forward_cross(
                            block.cross_norm->forward(x_BLD, context), memory_BKD, context, layer),
                        block.cross_site, context);
    tell(context, block.name + ".layer.1", x_BLD);
  }
  for (const FeedForwardSublayer& sublayer : block.feed_forwards) {
    FeedForwardOutput output =
        sublayer.feed_forward->forward(sublayer.norm.forward(x_BLD, context), context);
    x_BLD = add_dropped(x_BLD, output.output, sublayer.site, context);
    tell(context, sublayer.name, x_BLD);
    if (context.auxiliary) context.auxiliary->append(std::move(output.auxiliary));
  }
  return x_BLD;
}

// What the blocks need once more in the backward pass, when the caller's own may be gone.
struct Stack::Kept {
  explicit Kept(const Context& given) : context(given), tokens(*given.tokens) {
    context.tokens = &tokens;
    if (!given.memory_tokens) return;
    memory_tokens = *given.memory_tokens;
    context.memory_tokens = &memory_tokens;
  }
  Kept(const Kept&) = delete;
  Context context;
  TokenLayout tokens, memory_tokens;
};

// Auxiliary losses leave the block as tensors behind its output and get their names back outside.
at::Tensor Stack::run_recomputed_block(size_t index, const at::Tensor& x_BLD,
                                       const at::Tensor& bias_HQK, const at::Tensor& memory_BKD,
                                       const std::shared_ptr<Kept>& kept) const {
  const auto found = std::make_shared<Auxiliary>();
  const auto is_first = std::make_shared<bool>(true);
  const auto run = [this, index, kept, found, is_first](const std::vector<at::Tensor>& inputs) {
    Context context = kept->context;
    if (!*is_first) {
      context.routing_sink = nullptr;
      context.activation_sink = nullptr;
    }
    *is_first = false;
    Auxiliary losses;
    context.auxiliary = &losses;
    std::vector<at::Tensor> outputs{run_block(index, inputs[0], inputs[1], inputs[2], context)};
    for (const AuxiliaryLoss& loss : losses.losses) {
      outputs.push_back(loss.value);
      outputs.insert(outputs.end(), loss.factors.begin(), loss.factors.end());
    }
    if (found->losses.empty()) *found = losses;
    return outputs;
  };
  const std::vector<at::Tensor> outputs = ops::recompute({x_BLD, bias_HQK, memory_BKD}, run);
  if (Auxiliary* auxiliary = kept->context.auxiliary) {
    size_t next = 1;
    Auxiliary losses = *found;
    for (AuxiliaryLoss& loss : losses.losses) {
      loss.value = outputs[next++];
      for (at::Tensor& factor : loss.factors) factor = outputs[next++];
    }
    auxiliary->append(std::move(losses));
  }
  return outputs[0];
}

at::Tensor Stack::forward(at::Tensor x_BLD, const at::Tensor& memory_BKD, const Context& context,
                          std::vector<at::Tensor>* block_inputs) const {
  KvCache* cache = config_.is_decoder ? context.cache : nullptr;
  const int64_t start = cache ? cache->length() : 0, length = x_BLD.size(1);
  const at::Tensor bias_HQK =
      ops::relative_position_bias(relative_attention_bias_NH_, length, start + length, start,
                                  !config_.is_decoder, config_.max_distance);
  const auto kept = context.recomputes_blocks && !cache ? std::make_shared<Kept>(context) : nullptr;
  x_BLD = drop(x_BLD, input_site_, context);
  tell(context, config_.name + ".input", x_BLD);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (block_inputs) block_inputs->push_back(x_BLD);
    x_BLD = kept ? run_recomputed_block(i, x_BLD, bias_HQK, memory_BKD, kept)
                 : run_block(i, x_BLD, bias_HQK, memory_BKD, context);
  }
  if (cache) cache->advance(length);
  x_BLD = drop(final_layer_norm_.forward(x_BLD, context), output_site_, context);
  tell(context, config_.name + ".final_layer_norm", x_BLD);
  return x_BLD;
}

void Stack::collect(Parameters& parameters) const {
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const Block& block = *blocks_[i];
    block.self_attention.collect(parameters);
    if (i == 0)
      parameters.push_back({block.name + ".layer.0.SelfAttention.relative_attention_bias.weight",
                            relative_attention_bias_NH_,
                            {.is_relative_bias = true}});
    block.self_norm.collect(block.name + ".layer.0.layer_norm", parameters);
    if (block.cross_attention) {
      block.cross_attention->collect(parameters);
      block.cross_norm->collect(block.name + ".layer.1.layer_norm", parameters);
    }
    for (const FeedForwardSublayer& sublayer : block.feed_forwards) {
      sublayer.feed_forward->collect(parameters);
      sublayer.norm.collect(sublayer.name + ".layer_norm", parameters);
    }
  }
  final_layer_norm_.collect(config_.name + ".final_layer_norm", parameters);
}

void Stack::collect_sites(Sites& sites) {
  for (const auto& block : blocks_) {
    block->self_attention.collect_sites(sites);
    sites.push_back(block->self_norm.site(block->name + ".layer.0.layer_norm"));
    if (block->cross_attention) {
      block->cross_attention->collect_sites(sites);
      sites.push_back(block->cross_norm->site(block->name + ".layer.1.layer_norm"));
    }
    for (FeedForwardSublayer& sublayer : block->feed_forwards) {
      sublayer.feed_forward->collect_sites(sites);
      sites.push_back(sublayer.norm.site(sublayer.name + ".layer_norm"));
    }
  }
  sites.push_back(final_layer_norm_.site(config_.name + ".final_layer_norm"));
}

}  // namespace flanmoe::nn
