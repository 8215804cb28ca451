// Attention and the relative bias from libtorch's own operations: right first, fast later.
#include <ATen/ops/arange.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>

#include <limits>

#include "ops/cuda/ops_cuda.h"
#include "ops/noise.h"
#include "ops/tensors.h"

namespace flanmoe::ops::cuda {

namespace {

// [B or 1, 1, Q, K]: whether a query sees a key.
at::Tensor make_visible(const AttentionMask& mask, int64_t queries, int64_t keys,
                        const at::TensorOptions& options) {
  at::Tensor visible = at::ones({1, 1, queries, keys}, options.dtype(at::kBool));
  if (mask.query_segment_ids_BQ.defined()) {
    const at::Tensor query_ids = mask.query_segment_ids_BQ.unsqueeze(1).unsqueeze(3),
                     key_ids = mask.key_segment_ids_BK.unsqueeze(1).unsqueeze(2);
    visible = query_ids.eq(key_ids).logical_and(key_ids.ne(0));
  }
  if (mask.is_causal) {
    const at::Tensor query =
        at::arange(queries, options.dtype(at::kLong)).add(mask.query_offset).unsqueeze(1);
    visible =
        visible.logical_and(at::arange(keys, options.dtype(at::kLong)).unsqueeze(0).le(query));
  }
  return visible;
}

// Factors of dropout [B, H, Q, K], as the CPU makes them: keyed by query token, head and the key's
// index in its segment.
at::Tensor make_factors(const AttentionDropout& dropout, const AttentionMask& mask, int64_t rows,
                        int64_t heads, int64_t queries, int64_t keys,
                        const at::TensorOptions& options) {
  const RowKernels<float>& kernels = row_kernels<float>();
  const at::Tensor ones = at::ones({rows * queries, keys}, options.dtype(at::kFloat));
  const at::Tensor factors = at::empty({heads, rows, queries, keys}, ones.options());
  const at::Tensor token_keys = dropout.noise.token_keys.contiguous();
  for (int64_t h = 0; h < heads; ++h)
    kernels.dropout(data<float>(ones), nullptr, data<float>(factors.select(0, h)),
                    data<int64_t>(token_keys),
                    fold_key(dropout.noise.key, static_cast<uint64_t>(h)),
                    make_dropout_rule(dropout.rate), rows * queries, keys);
  at::Tensor result = factors.transpose(0, 1);
  if (!mask.key_segment_ids_BK.defined()) return result;
  const at::Tensor ids = mask.key_segment_ids_BK;
  const at::Tensor first = ids.unsqueeze(2).eq(ids.unsqueeze(1)).to(at::kInt).argmax(2);
  const at::Tensor place = at::arange(keys, ids.options()).unsqueeze(0).sub(first);  // [B, K]
  return result.gather(3, place.unsqueeze(1).unsqueeze(1).expand({rows, heads, queries, keys}));
}

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const at::Tensor& bias_HQK, const AttentionMask& mask,
                     const std::optional<AttentionDropout>& dropout) {
  const int64_t rows = q.size(0), queries = q.size(1), heads = q.size(2), keys = k.size(1);
  const auto statistics = accumulator_dtype(q);
  at::Tensor scores = at::matmul(q.transpose(1, 2), k.permute({0, 2, 3, 1})).to(statistics);
  if (bias_HQK.defined()) scores = scores.add(bias_HQK.to(statistics).unsqueeze(0));
  const at::Tensor hidden = make_visible(mask, queries, keys, q.options()).logical_not();
  // finite, so that a query that sees nothing has finite probabilities to set to 0
  at::Tensor probabilities =
      at::softmax(scores.masked_fill(hidden, -1e30), -1).masked_fill(hidden, 0);
  if (dropout && dropout->rate != 0)
    probabilities = probabilities.mul(
        make_factors(*dropout, mask, rows, heads, queries, keys, q.options()).to(statistics));
  return at::matmul(probabilities.to(q.scalar_type()), v.transpose(1, 2))
      .transpose(1, 2)
      .contiguous();
}

at::Tensor relative_position_bias(const at::Tensor& table_NH, int64_t query_length,
                                  int64_t key_length, int64_t query_offset, bool is_bidirectional,
                                  int64_t max_distance) {
  const int64_t num_buckets = table_NH.size(0), num_diagonals = query_length + key_length - 1;
  const at::Tensor table = table_NH.to(accumulator_dtype(table_NH));
  // a product with one-hot rows instead of a gather: its backward adds in a fixed order
  at::Tensor one_hot =
      at::zeros({num_diagonals, num_buckets}, at::TensorOptions().dtype(table.scalar_type()));
  visit_dtype("relative_position_bias", table, [&]<class T>(T) {
    if constexpr (!std::is_same_v<T, Bf16>)
      for (int64_t i = 0; i < num_diagonals; ++i)
        data<T>(one_hot)[i * num_buckets +
                         relative_position_bucket(i - (query_offset + query_length - 1),
                                                  is_bidirectional, num_buckets, max_distance)] = 1;
  });
  const at::Tensor diagonals = at::matmul(one_hot.to(table.device()), table).t();  // [H, Q + K - 1]
  return diagonals.unfold(1, key_length, 1).flip(1).contiguous();
}

}  // namespace flanmoe::ops::cuda
