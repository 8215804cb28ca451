#include "nn/attention.h"

#include <ATen/ops/clamp_min.h>
#include <ATen/ops/empty.h>

#include "base/error.h"
#include "ops/transformer.h"

namespace flanmoe::nn {

Attention::Attention(const AttentionConfig& config, std::string name,
                     const at::TensorOptions& options)
    : config_(config),
      name_(std::move(name)),
      site_(noise_site(name_)),
      q_(config.d_model, config.num_heads * config.d_kv, options),
      k_(config.d_model, config.num_heads * config.d_kv, options),
      v_(config.d_model, config.num_heads * config.d_kv, options),
      o_(config.num_heads * config.d_kv, config.d_model, options) {}

at::Tensor Attention::split_heads(const at::Tensor& x) const {
  return x.view({x.size(0), x.size(1), config_.num_heads, config_.d_kv});
}

at::Tensor Attention::attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                             const at::Tensor& bias_HQK, const TokenLayout* keys, bool is_causal,
                             int64_t query_offset, const at::Tensor& block_input,
                             const Context& context) const {
  ops::AttentionMask mask;
  mask.is_causal = is_causal;
  mask.query_offset = query_offset;
  if (keys && (keys->has_padding || keys->is_packed || context.tokens->is_packed)) {
    mask.query_segment_ids_BQ = context.tokens->segment_ids_BL;
    mask.key_segment_ids_BK = keys->segment_ids_BL;
    if (context.computes_padding) {
      mask.query_segment_ids_BQ = mask.query_segment_ids_BQ.clamp_min(1);
      if (is_causal) mask.key_segment_ids_BK = mask.query_segment_ids_BQ;
    }
  }
  std::optional<ops::AttentionDropout> dropout;
  const double rate = context.regularisation.dropout_rate.value_or(config_.dropout_rate);
  if (context.is_training && rate > 0)
    dropout = ops::AttentionDropout{
        rate,
        {context.noise_key(RandomPurpose::Dropout, site_).state(), context.tokens->token_keys_BL}};
  at::Tensor output = ops::attention(q, k, v, bias_HQK, mask, dropout);
  return o_.forward(output.reshape({q.size(0), q.size(1), config_.num_heads * config_.d_kv}),
                    context, nullptr, block_input);
}

at::Tensor Attention::forward_self(const at::Tensor& x_BQD, const at::Tensor& bias_HQK,
                                   bool is_causal, const Context& context,
                                   KvCache::Layer* cache) const {
  const at::Tensor q = split_heads(q_.forward(x_BQD, context));
  at::Tensor k = split_heads(k_.forward(x_BQD, context));
  at::Tensor v = split_heads(v_.forward(x_BQD, context));
  if (!cache) return attend(q, k, v, bias_HQK, context.tokens, is_causal, 0, x_BQD, context);

  const int64_t start = context.cache->length(), length = k.size(1);
  FLANMOE_ASSERT(start + length <= context.cache->max_length());
  if (!cache->self_key_BKHd.defined()) {
    const auto shape = {k.size(0), context.cache->max_length(), k.size(2), k.size(3)};
    cache->self_key_BKHd = at::empty(shape, k.options());
    cache->self_value_BKHd = at::empty(shape, v.options());
  }
  cache->self_key_BKHd.narrow(1, start, length).copy_(k);
  cache->self_value_BKHd.narrow(1, start, length).copy_(v);
  return attend(q, cache->self_key_BKHd.narrow(1, 0, start + length),
                cache->self_value_BKHd.narrow(1, 0, start + length), bias_HQK, nullptr, is_causal,
                start, x_BQD, context);
}

at::Tensor Attention::forward_cross(const at::Tensor& x_BQD, const at::Tensor& memory_BKD,
                                    const Context& context, KvCache::Layer* cache) const {
  const at::Tensor q = split_heads(q_.forward(x_BQD, context));
  if (cache && cache->cross_key_BKHd.defined())
    return attend(q, cache->cross_key_BKHd, cache->cross_value_BKHd, {}, context.memory_tokens,
                  false, 0, x_BQD, context);
  const at::Tensor k = split_heads(k_.forward(memory_BKD, context, context.memory_tokens));
  const at::Tensor v = split_heads(v_.forward(memory_BKD, context, context.memory_tokens));
  if (cache) {
    cache->cross_key_BKHd = k;
    cache->cross_value_BKHd = v;
  }
  return attend(q, k, v, {}, context.memory_tokens, false, 0, x_BQD, context);
}

void Attention::collect(Parameters& parameters) const {
  q_.collect(name_ + ".q", parameters);
  k_.collect(name_ + ".k", parameters);
  v_.collect(name_ + ".v", parameters);
  o_.collect(name_ + ".o", parameters);
}

void Attention::collect_sites(Sites& sites) {
  sites.push_back(q_.site(name_ + ".q", config_.d_model, config_.num_heads));
  sites.push_back(k_.site(name_ + ".k", config_.d_model, config_.num_heads));
  sites.push_back(v_.site(name_ + ".v", config_.d_model, config_.num_heads));
  sites.push_back(o_.site(name_ + ".o", config_.d_model));
}

}  // namespace flanmoe::nn
