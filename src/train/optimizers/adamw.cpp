#include "train/optimizers/adamw.h"

#include "train/optimizers/checks.h"
#include "train/optimizers/tensor_updates.h"

namespace flanmoe::train {

AdamW::AdamW(const nn::Parameters& parameters, const OptimizerConfig& config,
             const UpdateOptions& options)
    : beta1_(config.beta1.value_or(0.9)), beta2_(config.beta2), epsilon_(config.epsilon) {
  check_range("beta1", beta1_, 0.0, 1.0);
  check_range("beta2", beta2_, 0.0, 1.0);
  check_positive("epsilon", epsilon_);
  for (TrainedParameter& trained : list_trained(parameters, config, options))
    slots_.push_back({trained, trained.make_state(), trained.make_state()});
}

void AdamW::step(int64_t step, double learning_rate, double gradient_scale) {
  const kernels::AdamWStep of_all{.gradient_scale = gradient_scale,
                                  .beta1 = beta1_,
                                  .beta2 = beta2_,
                                  .epsilon = epsilon_,
                                  .step = step};
  StepTargets targets(step, learning_rate);
  std::vector<kernels::AdamWUpdate> updates;
  for (Slot& slot : slots_) {
    const auto target = targets.add(slot.trained);
    if (!target) continue;
    if (slot.trained.path == UpdatePath::TensorOps)
      tensor_updates::update_adamw(*target, slot.first_moment, slot.second_moment, of_all);
    else
      updates.push_back({as_memory(*target), slot.first_moment.data_ptr<float>(),
                         slot.second_moment.data_ptr<float>()});
  }
  kernels::update_adamw(updates, of_all);
  targets.finish();
}

checkpoint::NamedTensors AdamW::state() {
  checkpoint::NamedTensors tensors;
  for (const Slot& slot : slots_) {
    const std::string& name = slot.trained.parameter.name;
    tensors[name + ".first_moment"] = slot.first_moment;
    tensors[name + ".second_moment"] = slot.second_moment;
  }
  return tensors;
}

}  // namespace flanmoe::train
