// What optimizers have in common between parameters as tensors and the loops over raw memory.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "base/random.h"
#include "nn/parameter.h"
#include "train/optimizers/kernels.h"
#include "train/optimizers/parameter_groups.h"

namespace flanmoe::train {

struct TrainedParameter {
  nn::Parameter parameter;
  GroupValues group;
  RandomKey rounding;  // noise of stochastic rounding; folded with the step

  // Zeros for state of the parameter: float32.
  at::Tensor make_state(at::IntArrayRef sizes) const;
  at::Tensor make_state() const { return make_state(parameter.tensor.sizes()); }
};

// Those that require a gradient. Throws InvalidConfig on groups that cannot be right, Unsupported
// for a trained parameter that is neither float32 nor bfloat16, or not on the CPU.
std::vector<TrainedParameter> list_trained(const nn::Parameters& parameters,
                                           const OptimizerConfig& config, uint64_t seed);

// Contiguous values of a float32 or bfloat16 tensor on the CPU.
kernels::Values as_values(const at::Tensor& contiguous);

// The parameters of one step as contiguous memory; what is not contiguous is copied, and copied
// back by finish().
class StepTargets {
 public:
  StepTargets(int64_t step, double learning_rate) : step_(step), learning_rate_(learning_rate) {}
  // Nothing where the parameter has no gradient or no element. `order` of the dims in memory; as
  // they are where it is empty.
  std::optional<kernels::Target> add(const TrainedParameter& trained,
                                     const std::vector<int64_t>& order = {});
  // After the update: the values are in the parameters, and autograd knows of the change.
  void finish();

 private:
  struct Held {
    at::Tensor parameter, ordered, values, gradient;
  };
  int64_t step_;
  double learning_rate_;
  std::vector<Held> held_;
};

}  // namespace flanmoe::train
