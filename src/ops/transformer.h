// The tensor operations of a T5 block. All are differentiable, deterministic for a given number of
// threads, take contiguous or strided input, and compute statistics (norms, softmax, sums) in fp32
// (fp64 for fp64 input) whatever the dtype of the values (fp32, bf16, fp64).
//
// Shape letters: B rows, L/Q/K lengths, D model, F feed-forward, H heads, V vocabulary, T tokens.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "ops/kernels.h"
#include "ops/weight_view.h"

namespace flanmoe::ops {

// x / sqrt(mean(x^2) + eps) * weight over the last dim, no mean subtracted (T5 layer norm).
// `weight` may be fp32 beside a bf16 x; output has x's dtype.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight_D, double eps);

// x weight^T, no bias (T5 has none): x [..., in], weight [out, in] as on disk, one dtype -> [...,
// out]. On a CPU an element of the result hangs on its row of x and its row of the weight alone.
at::Tensor linear(const at::Tensor& x, const WeightView& weight_OI);

// gelu (tanh form, HF "gelu_new") of gate times up; relu of gate times up. Same shape and dtype.
at::Tensor gated_gelu(const at::Tensor& gate, const at::Tensor& up);
at::Tensor gelu(const at::Tensor& x);
at::Tensor relu(const at::Tensor& x);

// Noise of dropout and jitter. `token_keys_T` int64 [T]: identity of every token (example key and
// position mixed); `key` that of (seed, purpose, site, step), as RandomKey::state().
struct Noise {
  uint64_t key = 0;
  at::Tensor token_keys;  // int64 [T] or [B, L]
};
// Element d of token t is kept iff the 16 bits that (key, token key, d) give are at or above
// round(rate * 65536); kept ones are scaled by 1 / (1 - rate). x is [..., D] with as many leading
// elements as token keys. rate 0 returns x itself.
at::Tensor dropout(const at::Tensor& x, double rate, const Noise& noise);
// residual + dropout(x): what ends every sublayer, in one pass.
at::Tensor add_dropout(const at::Tensor& residual, const at::Tensor& x, double rate,
                       const Noise& noise);
// x * U(1 - epsilon, 1 + epsilon), element by element (Switch's input jitter).
at::Tensor jitter(const at::Tensor& x, double epsilon, const Noise& noise);

// Who may look at whom: a query sees a key iff their segment ids are equal and not 0, and, when
// is_causal, the key's index is at most the query's index + query_offset (queries and keys counted
// within the row). Undefined ids: everything is one segment.
struct AttentionMask {
  at::Tensor query_segment_ids_BQ;  // int64
  at::Tensor key_segment_ids_BK;    // int64
  bool is_causal = false;
  int64_t query_offset = 0;  // with a KV cache: how many keys stand before the first query
};
struct AttentionDropout {
  double rate = 0;
  Noise noise;  // token keys [B, Q] of the queries
};

// softmax(q k^T + bias, masked) v without 1/sqrt(d) scaling (T5). q [B, Q, H, d], k and v [B, K, H,
// d] (what a projection's output views as); bias [H, Q, K] fp32 (or the dtype of q), shared by the
// rows, or undefined. A query that sees no key gives 0. Returns [B, Q, H, d].
at::Tensor attention(const at::Tensor& q_BQHd, const at::Tensor& k_BKHd, const at::Tensor& v_BKHd,
                     const at::Tensor& bias_HQK, const AttentionMask& mask,
                     const std::optional<AttentionDropout>& dropout = std::nullopt);

// Bucket of relative position key - query, as T5 has it (log in fp32, truncated). See facts.md item
// 124.
int64_t relative_position_bucket(int64_t relative_position, bool is_bidirectional,
                                 int64_t num_buckets, int64_t max_distance);
// table [num_buckets, H] -> bias [H, Q, K] fp32 for queries at query_offset.. and keys at 0..;
// differentiable in the table.
at::Tensor relative_position_bias(const at::Tensor& table_NH, int64_t query_length,
                                  int64_t key_length, int64_t query_offset, bool is_bidirectional,
                                  int64_t max_distance);

// Per-token cross-entropy of CrossEntropyRule, [T] in fp32 (fp64 for fp64), 0 where label < 0.
// Never holds [T, V] in fp32 for bf16 logits. Differentiable in the logits; backward writes their
// gradient in their own dtype.
at::Tensor cross_entropy(const at::Tensor& logits_TV, const at::Tensor& labels_T,
                         const CrossEntropyRule& rule = {});

struct WeightedLoss {
  at::Tensor sum;           // scalar fp32 (fp64 for fp64): sum of weight * loss, differentiable
  at::Tensor token_loss_T;  // fp32 (fp64): no gradient
};
// The same of logits = hidden weight^T, which exist for some tokens at a time only (64 MiB of
// them): where a gradient is wanted, that of `hidden` and `weight` is computed along with the loss,
// chunk by chunk, so neither the logits of all tokens nor their gradient is ever held.
// `token_weight` fp32 (fp64), no gradient. A gradient of the weight from several chunks is summed
// in fp32.
WeightedLoss linear_cross_entropy(const at::Tensor& hidden_TD, const WeightView& weight_VD,
                                  const at::Tensor& labels_T, const at::Tensor& token_weight_T,
                                  const CrossEntropyRule& rule = {});
// log softmax(logits)[label] per token, fp32, no gradient; 0 where label < 0.
at::Tensor label_log_probability(const at::Tensor& logits_TV, const at::Tensor& labels_T);

}  // namespace flanmoe::ops
