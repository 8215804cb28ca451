#include "train/optimizers/trained_parameter.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include "base/error.h"

namespace flanmoe::train {
namespace {

bool is_float(at::ScalarType type) {
  return type == at::kFloat || type == at::kBFloat16;
}

kernels::ValueType value_type(at::ScalarType type) {
  return type == at::kFloat ? kernels::ValueType::Float32 : kernels::ValueType::BFloat16;
}

UpdatePath choose_path(const nn::Parameter& parameter, const UpdateOptions& options) {
  const at::Tensor& tensor = parameter.tensor;
  const bool is_on_cpu = tensor.device().is_cpu();
  const UpdatePath path =
      options.path.value_or(is_on_cpu ? UpdatePath::Loops : UpdatePath::TensorOps);
  if (!is_float(tensor.scalar_type()) || (path == UpdatePath::Loops && !is_on_cpu))
    fail(ErrorCode::Unsupported,
         "[train.optimizer] parameter '{}' is {} on {}; trained parameters must be float32 or "
         "bfloat16{}",
         parameter.name, c10::toString(tensor.scalar_type()), tensor.device().str(),
         path == UpdatePath::Loops ? " on the CPU" : "");
  return path;
}

}  // namespace

at::Tensor TrainedParameter::make_state(at::IntArrayRef sizes) const {
  return at::zeros(sizes, parameter.tensor.options().dtype(at::kFloat).requires_grad(false));
}

std::vector<TrainedParameter> list_trained(const nn::Parameters& parameters,
                                           const OptimizerConfig& config,
                                           const UpdateOptions& options) {
  check_groups(config);
  const RandomKey key(options.seed, RandomPurpose::StochasticRounding);
  std::vector<TrainedParameter> trained;
  for (const nn::Parameter& parameter : parameters) {
    if (!parameter.tensor.requires_grad()) continue;
    trained.push_back({parameter, find_group_values(parameter, config), key.fold(parameter.name),
                       choose_path(parameter, options)});
  }
  return trained;
}

kernels::Values as_values(const at::Tensor& contiguous) {
  return {contiguous.const_data_ptr(), value_type(contiguous.scalar_type()), contiguous.numel()};
}

kernels::Target as_memory(const StepTarget& step_target) {
  kernels::Target target;
  target.values = step_target.values.data_ptr();
  target.type = value_type(step_target.values.scalar_type());
  target.gradient = step_target.gradient.const_data_ptr();
  target.gradient_type = value_type(step_target.gradient.scalar_type());
  target.size = step_target.values.numel();
  target.learning_rate = step_target.learning_rate;
  target.weight_decay = step_target.weight_decay;
  target.rounding = step_target.rounding;
  return target;
}

std::optional<StepTarget> StepTargets::add(const TrainedParameter& trained,
                                           const std::vector<int64_t>& order) {
  const at::Tensor& tensor = trained.parameter.tensor;
  if (!tensor.grad().defined() || tensor.numel() == 0) return std::nullopt;
  const at::NoGradGuard no_grad;
  const auto arrange = [&](const at::Tensor& t) { return order.empty() ? t : t.permute(order); };
  at::Tensor gradient = tensor.grad();
  if (!is_float(gradient.scalar_type())) gradient = gradient.to(at::kFloat);
  Held held{tensor, arrange(tensor.detach()), {}, arrange(gradient).contiguous()};
  held.values = held.ordered.contiguous();
  held_.push_back(held);
  return StepTarget{.values = held.values,
                    .gradient = held.gradient,
                    .learning_rate = learning_rate_ * trained.group.learning_rate_scale,
                    .weight_decay = trained.group.weight_decay,
                    .rounding = trained.rounding.fold(static_cast<uint64_t>(step_))};
}

void StepTargets::finish() {
  const at::NoGradGuard no_grad;
  for (Held& held : held_) {
    if (!held.values.is_same(held.ordered)) held.ordered.copy_(held.values);
    held.parameter.unsafeGetTensorImpl()->bump_version();  // the loops wrote behind its back
  }
  held_.clear();
}

}  // namespace flanmoe::train
