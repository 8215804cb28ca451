#include "train/optimizers/adamw.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include "train/optimizers/checks.h"
#include "train/optimizers/kernels.h"

namespace flanmoe::train {

AdamW::AdamW(const nn::Parameters& parameters, const OptimizerConfig& config) : config_(config) {
  check_range("beta1", config.beta1, 0.0, 1.0);
  check_range("beta2", config.beta2, 0.0, 1.0);
  check_positive("epsilon", config.epsilon);
  check_not_negative("weight_decay", config.weight_decay);
  for (const nn::Parameter& parameter : parameters) {
    if (!is_trained(parameter)) continue;
    const at::TensorOptions options = parameter.tensor.options().requires_grad(false);
    slots_.push_back({parameter, at::zeros(parameter.tensor.sizes(), options),
                      at::zeros(parameter.tensor.sizes(), options)});
  }
}

void AdamW::step(int64_t step, double learning_rate, double gradient_scale) {
  at::NoGradGuard no_grad;
  const kernels::AdamWStep values{learning_rate, gradient_scale, config_.weight_decay,
                                  config_.beta1, config_.beta2,  config_.epsilon,
                                  step};
  for (Slot& slot : slots_) {
    at::Tensor& tensor = slot.parameter.tensor;
    if (!tensor.grad().defined()) continue;
    const at::Tensor gradient = to_float(tensor.grad()).contiguous();
    const at::Tensor ordered = tensor.detach();
    const at::Tensor parameter = ordered.contiguous();
    kernels::update_adamw(
        {parameter.data_ptr<float>(), gradient.const_data_ptr<float>(),
         slot.first_moment.data_ptr<float>(), slot.second_moment.data_ptr<float>()},
        tensor.numel(), values);
    if (!parameter.is_same(ordered)) ordered.copy_(parameter);
    tensor.unsafeGetTensorImpl()->bump_version();  // the loops wrote behind its back
  }
}

checkpoint::NamedTensors AdamW::state() {
  checkpoint::NamedTensors tensors;
  for (const Slot& slot : slots_) {
    tensors[slot.parameter.name + ".first_moment"] = slot.first_moment;
    tensors[slot.parameter.name + ".second_moment"] = slot.second_moment;
  }
  return tensors;
}

}  // namespace flanmoe::train
