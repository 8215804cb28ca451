#include <algorithm>
#include <cmath>

#include "ops/ref/ref.h"

namespace flanmoe::ops::ref {

Array merging_weights(const Array& x, const Array& kernel, int64_t num_experts, int64_t top_k,
                      bool applies_gelu) {
  const size_t experts = static_cast<size_t>(num_experts), width = kernel.size() / experts;
  const Array seen = applies_gelu ? gelu(x) : x;
  Array weights;
  for (size_t t = 0; t < seen.size() / width; ++t) {
    Array row(experts);
    double total = 0;
    for (size_t e = 0; e < experts; ++e) {
      for (size_t i = 0; i < width; ++i) row[e] += kernel[e * width + i] * seen[t * width + i];
      total += row[e] = std::exp(row[e]);
    }
    for (double& weight : row) weight /= total;
    Array falling = row;
    std::sort(falling.rbegin(), falling.rend());
    for (const double weight : row)
      weights.push_back(top_k == 0 || weight >= falling[static_cast<size_t>(top_k - 1)] ? weight
                                                                                        : 0);
  }
  return weights;
}

Array scale_by_weights(const Array& values, const Array& weights, const Array& vectors,
                       int64_t num_heads, int64_t num_experts) {
  const size_t experts = static_cast<size_t>(num_experts), heads = static_cast<size_t>(num_heads),
               width = vectors.size() / experts, head_width = width / heads;
  Array y;
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t token = i / width, column = i % width;
    double factor = 0;
    for (size_t e = 0; e < experts; ++e)
      factor += weights[(token * heads + column / head_width) * experts + e] *
                vectors[e * width + column];
    y.push_back(values[i] * factor);
  }
  return y;
}

Array add_low_rank(const Array& output, const Array& x, const Array& a, const Array& b,
                   double scale, const Array& weights, int64_t num_experts, int64_t rank) {
  const size_t experts = static_cast<size_t>(num_experts), ranks = static_cast<size_t>(rank),
               in = a.size() / experts / ranks, out = b.size() / experts / ranks;
  Array y = output;
  for (size_t t = 0; t < x.size() / in; ++t)
    for (size_t e = 0; e < experts; ++e)
      for (size_t r = 0; r < ranks; ++r) {
        double z = 0;
        for (size_t i = 0; i < in; ++i) z += a[(e * ranks + r) * in + i] * x[t * in + i];
        for (size_t o = 0; o < out; ++o)
          y[t * out + o] += scale * weights[t * experts + e] * z * b[(e * out + o) * ranks + r];
      }
  return y;
}

}  // namespace flanmoe::ops::ref
