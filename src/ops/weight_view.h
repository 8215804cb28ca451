// A weight as a product uses it.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

namespace flanmoe::ops {

// `values` is what is multiplied. The gradient goes to `leaf`, as the product computes it, in the
// dtype of `values`: autograd converts it to the dtype that the leaf wants (Tensor::grad_dtype).
// So an fp32 master trains through its bf16 copy, without a conversion that is recorded.
struct WeightView {
  WeightView(at::Tensor weight) : values(weight), leaf(std::move(weight)) {}  // NOLINT: implicit
  WeightView(at::Tensor copy, at::Tensor master)
      : values(std::move(copy)), leaf(std::move(master)) {}
  at::Tensor values, leaf;
};

}  // namespace flanmoe::ops
