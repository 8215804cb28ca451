#include <cstddef>

#include "ops/ref/ref.h"

namespace flanmoe::ops::ref {

Array dispatch(const Array& x, int64_t num_tokens, const Indices& token_index) {
  const size_t width = x.size() / static_cast<size_t>(num_tokens);
  Array y;
  for (const int64_t token : token_index)
    for (size_t i = 0; i < width; ++i) y.push_back(x[static_cast<size_t>(token) * width + i]);
  return y;
}

Array combine(const Array& x, int64_t num_tokens, const Indices& token_index, const Array& weight) {
  const size_t count = token_index.size(), width = count ? x.size() / count : 0;
  Array matrix(static_cast<size_t>(num_tokens) * count), y(static_cast<size_t>(num_tokens) * width);
  for (size_t a = 0; a < count; ++a)
    matrix[static_cast<size_t>(token_index[a]) * count + a] = weight[a];
  for (size_t t = 0; t < static_cast<size_t>(num_tokens); ++t)
    for (size_t a = 0; a < count; ++a)
      for (size_t i = 0; i < width; ++i)
        y[t * width + i] += matrix[t * count + a] * x[a * width + i];
  return y;
}

Array grouped_matmul(const Array& x, const Array& weight, int64_t in_dim, int64_t out_dim,
                     const Indices& expert_offsets) {
  Array y;
  for (size_t e = 0; e + 1 < expert_offsets.size(); ++e)
    for (int64_t a = expert_offsets[e]; a < expert_offsets[e + 1]; ++a)
      for (int64_t o = 0; o < out_dim; ++o) {
        double sum = 0;
        for (int64_t i = 0; i < in_dim; ++i)
          sum += x[static_cast<size_t>(a * in_dim + i)] *
                 weight[(e * static_cast<size_t>(out_dim) + static_cast<size_t>(o)) *
                            static_cast<size_t>(in_dim) +
                        static_cast<size_t>(i)];
        y.push_back(sum);
      }
  return y;
}

}  // namespace flanmoe::ops::ref
