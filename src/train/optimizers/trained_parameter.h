// What optimizers have in common between parameters as tensors and what updates them.
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
  UpdatePath path = UpdatePath::Loops;

  // Zeros for state of the parameter: float32, on its device.
  at::Tensor make_state(at::IntArrayRef sizes) const;
  at::Tensor make_state() const { return make_state(parameter.tensor.sizes()); }
};

// Those that require a gradient. Throws InvalidConfig on groups that cannot be right, Unsupported
// for a trained parameter that is neither float32 nor bfloat16, or out of reach of the loops that
// are asked for.
std::vector<TrainedParameter> list_trained(const nn::Parameters& parameters,
                                           const OptimizerConfig& config,
                                           const UpdateOptions& options);

// Contiguous values of a float32 or bfloat16 tensor on the CPU.
kernels::Values as_values(const at::Tensor& contiguous);

// A parameter to be updated: contiguous values and gradient, both float32 or bfloat16, and what its
// group says.
struct StepTarget {
  at::Tensor values, gradient;
  double learning_rate = 0;
  double weight_decay = 0;
  RandomKey rounding;  // of this parameter and step
};
// The same for the loops. On the CPU.
kernels::Target as_memory(const StepTarget& target);

// The parameters of one step; what is not contiguous is copied, and copied back by finish().
class StepTargets {
 public:
  StepTargets(int64_t step, double learning_rate) : step_(step), learning_rate_(learning_rate) {}
  // Nothing where the parameter has no gradient or no element. `order` of the dims in memory; as
  // they are where it is empty.
  std::optional<StepTarget> add(const TrainedParameter& trained,
                                const std::vector<int64_t>& order = {});
  // After the update: the values are in the parameters, and autograd knows of the change.
  void finish();

 private:
  struct Held {
    at::Tensor parameter, ordered, values, gradient;  // the loops have their addresses
  };
  int64_t step_;
  double learning_rate_;
  std::vector<Held> held_;
};

}  // namespace flanmoe::train
