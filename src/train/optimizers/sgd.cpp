#include "train/optimizers/sgd.h"

#include "base/error.h"
#include "train/optimizers/checks.h"
#include "train/optimizers/tensor_updates.h"

namespace flanmoe::train {

Sgd::Sgd(const nn::Parameters& parameters, const OptimizerConfig& config,
         const UpdateOptions& options)
    : momentum_(config.momentum), has_nesterov_(config.has_nesterov) {
  check_range("momentum", momentum_, 0.0, 1.0);
  if (has_nesterov_ && momentum_ == 0)
    fail(ErrorCode::InvalidConfig,
         "[train] optimizer.has_nesterov is true, but optimizer.momentum is 0: expected a momentum "
         "above 0");
  for (TrainedParameter& trained : list_trained(parameters, config, options))
    slots_.push_back({trained, momentum_ > 0 ? trained.make_state() : at::Tensor()});
}

void Sgd::step(int64_t step, double learning_rate, double gradient_scale) {
  const kernels::SgdStep of_all{
      .gradient_scale = gradient_scale, .momentum = momentum_, .has_nesterov = has_nesterov_};
  StepTargets targets(step, learning_rate);
  std::vector<kernels::SgdUpdate> updates;
  for (Slot& slot : slots_) {
    const auto target = targets.add(slot.trained);
    if (!target) continue;
    if (slot.trained.path == UpdatePath::TensorOps)
      tensor_updates::update_sgd(*target, slot.momentum, of_all);
    else
      updates.push_back({as_memory(*target),
                         slot.momentum.defined() ? slot.momentum.data_ptr<float>() : nullptr});
  }
  kernels::update_sgd(updates, of_all);
  targets.finish();
}

checkpoint::NamedTensors Sgd::state() {
  checkpoint::NamedTensors tensors;
  for (const Slot& slot : slots_)
    if (slot.momentum.defined()) tensors[slot.trained.parameter.name + ".momentum"] = slot.momentum;
  return tensors;
}

}  // namespace flanmoe::train
