#include <c10/core/GradMode.h>

#include <cmath>
#include <cstring>

#include "ops/autograd.h"
#include "ops/cuda/ops_cuda.h"
#include "ops/tensors.h"
#include "ops/transformer.h"

namespace flanmoe::ops {

int64_t relative_position_bucket(int64_t relative_position, bool is_bidirectional,
                                 int64_t num_buckets, int64_t max_distance) {
  int64_t bucket = 0, distance = 0;
  if (is_bidirectional) {
    num_buckets /= 2;
    if (relative_position > 0) bucket += num_buckets;
    distance = relative_position < 0 ? -relative_position : relative_position;
  } else {
    distance = relative_position < 0 ? -relative_position : 0;
  }
  const int64_t max_exact = num_buckets / 2;
  if (distance < max_exact) return bucket + distance;
  // float32 throughout, in this order: distances on a bucket's edge depend on it
  const float ratio = std::log(static_cast<float>(distance) / static_cast<float>(max_exact)) /
                      static_cast<float>(std::log(static_cast<double>(max_distance) /
                                                  static_cast<double>(max_exact)));
  const int64_t large =
      max_exact + static_cast<int64_t>(ratio * static_cast<float>(num_buckets - max_exact));
  return bucket + (large < num_buckets ? large : num_buckets - 1);
}

namespace {

// Bucket of every diagonal: entry i is relative position i - (query_offset + query_length - 1).
std::vector<int64_t> make_buckets(int64_t query_length, int64_t key_length, int64_t query_offset,
                                  bool is_bidirectional, int64_t num_buckets,
                                  int64_t max_distance) {
  std::vector<int64_t> buckets(static_cast<size_t>(query_length + key_length - 1));
  for (size_t i = 0; i < buckets.size(); ++i)
    buckets[i] =
        relative_position_bucket(static_cast<int64_t>(i) - (query_offset + query_length - 1),
                                 is_bidirectional, num_buckets, max_distance);
  return buckets;
}

template <class A>
void forward(const A* table, A* bias, const std::vector<int64_t>& buckets, int64_t num_heads,
             int64_t query_length, int64_t key_length) {
  std::vector<A> diagonals(buckets.size());
  for (int64_t h = 0; h < num_heads; ++h) {
    for (size_t i = 0; i < buckets.size(); ++i) diagonals[i] = table[buckets[i] * num_heads + h];
    for (int64_t q = 0; q < query_length; ++q)
      std::memcpy(bias + (h * query_length + q) * key_length,
                  diagonals.data() + (query_length - 1 - q),
                  static_cast<size_t>(key_length) * sizeof(A));
  }
}

template <class A>
void backward(const A* grad, A* grad_table, const std::vector<int64_t>& buckets,
              int64_t num_buckets, int64_t num_heads, int64_t query_length, int64_t key_length) {
#pragma omp parallel for schedule(static) if (query_length * key_length > 4096)
  for (int64_t h = 0; h < num_heads; ++h) {
    std::vector<A> diagonals(buckets.size());
    for (int64_t q = 0; q < query_length; ++q) {
      const A* row = grad + (h * query_length + q) * key_length;
      A* sums = diagonals.data() + (query_length - 1 - q);
      for (int64_t k = 0; k < key_length; ++k) sums[k] += row[k];
    }
    for (int64_t n = 0; n < num_buckets; ++n) grad_table[n * num_heads + h] = 0;
    for (size_t i = 0; i < buckets.size(); ++i)
      grad_table[buckets[i] * num_heads + h] += diagonals[i];
  }
}

}  // namespace

at::Tensor relative_position_bias(const at::Tensor& table_NH, int64_t query_length,
                                  int64_t key_length, int64_t query_offset, bool is_bidirectional,
                                  int64_t max_distance) {
  if (table_NH.dim() != 2)
    fail(ErrorCode::ShapeMismatch,
         "[ops.relative_position_bias] table is {}; [buckets, heads] is expected",
         shape_text(table_NH));
  if (query_length < 1 || key_length < 1 || query_offset < 0)
    fail(ErrorCode::InvalidArgument,
         "[ops.relative_position_bias] lengths are {} and {}, offset {}; lengths from 1 and an "
         "offset from 0 are expected",
         query_length, key_length, query_offset);
  if (table_NH.is_cuda())
    return cuda::relative_position_bias(table_NH, query_length, key_length, query_offset,
                                        is_bidirectional, max_distance);
  const at::Tensor table = table_NH.to(accumulator_dtype(table_NH)).contiguous();
  const bool records = is_recorded({table});
  const c10::AutoGradMode off(false);
  const int64_t num_buckets = table.size(0), num_heads = table.size(1);
  std::vector<int64_t> buckets = make_buckets(query_length, key_length, query_offset,
                                              is_bidirectional, num_buckets, max_distance);
  const at::Tensor bias = empty({num_heads, query_length, key_length}, table, table.scalar_type());
  visit_dtype("relative_position_bias", table, [&]<class T>(T) {
    using A = Accumulator<T>;
    forward(data<A>(table), data<A>(bias), buckets, num_heads, query_length, key_length);
  });
  if (!records) return bias;
  const c10::AutoGradMode on(true);
  return record(bias, {table}, {}, [=, buckets = std::move(buckets)](const BackwardCall& call) {
    const at::Tensor grad = call.grad.contiguous();
    const at::Tensor grad_table = empty({num_buckets, num_heads}, grad, grad.scalar_type());
    visit_dtype("relative_position_bias", grad, [&]<class T>(T) {
      using A = Accumulator<T>;
      backward(data<A>(grad), data<A>(grad_table), buckets, num_buckets, num_heads, query_length,
               key_length);
    });
    return std::vector<at::Tensor>{grad_table};
  });
}

}  // namespace flanmoe::ops
