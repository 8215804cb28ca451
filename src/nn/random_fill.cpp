#include "nn/random_fill.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

namespace flanmoe::nn {

at::Tensor draw_normal(at::IntArrayRef shape, double std, const RandomKey& key) {
  at::Tensor values = at::empty(shape, at::kFloat);
  float* value = values.mutable_data_ptr<float>();
  at::parallel_for(0, values.numel(), 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      value[i] = static_cast<float>(std * key.normal(static_cast<uint64_t>(i)));
  });
  return values;
}

void fill_normal(const at::Tensor& tensor, double std, uint64_t seed, const std::string& name) {
  const at::NoGradGuard no_grad;
  tensor.copy_(
      draw_normal(tensor.sizes(), std,
                  RandomKey(seed, RandomPurpose::Initialisation).fold(std::string_view(name))));
}

}  // namespace flanmoe::nn
