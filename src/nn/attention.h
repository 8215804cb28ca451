// T5 attention: no scaling of the scores, a learned relative position bias shared by the blocks of
// a stack.
//
// Shape letters: B rows, Q queries, K keys, D model, H heads, d head width.
#pragma once

#include <string>

#include "nn/kv_cache.h"
#include "nn/linear.h"

namespace flanmoe::nn {

struct AttentionConfig {
  int64_t d_model = 0;
  int64_t num_heads = 0;
  int64_t d_kv = 0;
  double dropout_rate = 0;
};

class Attention {
 public:
  // `name` is the parameter prefix; noise is keyed by it.
  Attention(const AttentionConfig& config, std::string name, const at::TensorOptions& options);

  // Self-attention over x_BQD inside segments of context.tokens; with a cache layer, keys and
  // values are appended at `context.cache->length()`. bias_HQK may be undefined. Returns [B, Q, D].
  at::Tensor forward_self(const at::Tensor& x_BQD, const at::Tensor& bias_HQK, bool is_causal,
                          const Context& context, KvCache::Layer* cache) const;
  // Attention from x_BQD to the encoder's memory_BKD (segments of context.memory_tokens); with a
  // cache layer keys and values are computed once and kept. Kept ones may have fewer rows than x:
  // row r then looks at memory row r / (rows / memory rows), and context.memory_tokens are theirs.
  at::Tensor forward_cross(const at::Tensor& x_BQD, const at::Tensor& memory_BKD,
                           const Context& context, KvCache::Layer* cache) const;

  void collect(Parameters& parameters) const;
  void collect_sites(Sites& sites);

 private:
  at::Tensor split_heads(const at::Tensor& x) const;
  at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                    const at::Tensor& bias_HQK, const TokenLayout* keys, bool is_causal,
                    int64_t query_offset, const at::Tensor& block_input,
                    const Context& context) const;
  at::Tensor attend_cached(const at::Tensor& q, const at::Tensor& bias_HQK, int64_t start,
                           int64_t length, const KvCache::Layer& cache,
                           const at::Tensor& block_input, const Context& context) const;
  at::Tensor attend_shared(const at::Tensor& q, const KvCache::Layer& cache,
                           const at::Tensor& block_input, const Context& context) const;
  at::Tensor project_output(const at::Tensor& output, const at::Tensor& block_input,
                            const Context& context) const;

  AttentionConfig config_;
  std::string name_;
  uint64_t site_;
  Linear q_, k_, v_, o_;
};

}  // namespace flanmoe::nn
