#include "nn/attention.h"

#include <ATen/ops/clamp_min.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>

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
  return project_output(ops::attention(q, k, v, bias_HQK, mask, dropout), block_input, context);
}

at::Tensor Attention::project_output(const at::Tensor& output, const at::Tensor& block_input,
                                     const Context& context) const {
  return o_.forward(
      output.reshape({block_input.size(0), block_input.size(1), config_.num_heads * config_.d_kv}),
      context, nullptr, block_input);
}

at::Tensor Attention::attend_cached(const at::Tensor& q, const at::Tensor& bias_HQK, int64_t start,
                                    int64_t length, const KvCache::Layer& cache,
                                    const at::Tensor& block_input, const Context& context) const {
  ops::AttentionMask mask;
  mask.is_causal = true;
  mask.query_offset = start;
  if (context.cache->segment_ids_BK.defined()) {
    mask.query_segment_ids_BQ = context.tokens->segment_ids_BL;
    mask.key_segment_ids_BK = context.cache->segment_ids_BK.narrow(1, 0, start + length);
  }
  return project_output(
      ops::attention(q, cache.self_key_BKHd.narrow(1, 0, start + length),
                     cache.self_value_BKHd.narrow(1, 0, start + length), bias_HQK, mask),
      block_input, context);
}

// Rows that look at one memory row are queries of one row here, for which its keys are packed once.
// What padding would be gets values that nobody reads.
at::Tensor Attention::attend_shared(const at::Tensor& q, const KvCache::Layer& cache,
                                    const at::Tensor& block_input, const Context& context) const {
  const int64_t num_rows = cache.cross_key_BKHd.size(0);
  FLANMOE_ASSERT(num_rows > 0 && q.size(0) % num_rows == 0);
  const at::Tensor queries =
      q.contiguous().view({num_rows, q.size(0) / num_rows * q.size(1), q.size(2), q.size(3)});
  ops::AttentionMask mask;
  if (context.memory_tokens->has_padding) {
    mask.query_segment_ids_BQ =
        at::ones({num_rows, queries.size(1)}, context.memory_tokens->segment_ids_BL.options());
    mask.key_segment_ids_BK = context.memory_tokens->segment_ids_BL;
  }
  return project_output(
      ops::attention(queries, cache.cross_key_BKHd, cache.cross_value_BKHd, {}, mask), block_input,
      context);
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
  return attend_cached(q, bias_HQK, start, length, *cache, x_BQD, context);
}

at::Tensor Attention::forward_cross(const at::Tensor& x_BQD, const at::Tensor& memory_BKD,
                                    const Context& context, KvCache::Layer* cache) const {
  const at::Tensor q = split_heads(q_.forward(x_BQD, context));
  if (cache && cache->cross_key_BKHd.defined() && cache->cross_key_BKHd.size(0) != q.size(0))
    return attend_shared(q, *cache, x_BQD, context);
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
