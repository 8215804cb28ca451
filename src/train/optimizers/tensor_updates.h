// The updates of kernels.h as libtorch's tensor operations: for parameters on any device, one after
// the other, without waiting for the device. Values, states and rounding noise are those of the
// loops but for the rounding of float32 sums and products.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "train/optimizers/kernels.h"
#include "train/optimizers/trained_parameter.h"

namespace flanmoe::train::tensor_updates {

// Over all of them, in double; not finite if and only if an element is not. Waits for the device
// once.
double sum_of_squares(const std::vector<at::Tensor>& tensors);

// float32 to bfloat16 of the same shape, bit for bit as kernels::round_stochastically() does it
// with the elements counted from 0 in the order of dims.
at::Tensor round_stochastically(const at::Tensor& values, const RandomKey& key);

// States are float32, of the shape of the target's values.
void update_adamw(const StepTarget& target, const at::Tensor& first_moment,
                  const at::Tensor& second_moment, const kernels::AdamWStep& step);

// `momentum` is undefined without.
void update_sgd(const StepTarget& target, const at::Tensor& momentum, const kernels::SgdStep& step);

// As in kernels::AdafactorUpdate; undefined where that has null.
struct AdafactorState {
  at::Tensor row, column, second_moment, first_moment;
};
void update_adafactor(const StepTarget& target, const kernels::AdafactorShape& shape,
                      const AdafactorState& state, const kernels::AdafactorStep& step);

}  // namespace flanmoe::train::tensor_updates
