#include "train/optimizers/adamw.h"

#include "train/optimizers/checks.h"

namespace flanmoe::train {

AdamW::AdamW(const nn::Parameters& parameters, const OptimizerConfig& config, uint64_t seed)
    : beta1_(config.beta1.value_or(0.9)), beta2_(config.beta2), epsilon_(config.epsilon) {
  check_range("beta1", beta1_, 0.0, 1.0);
  check_range("beta2", beta2_, 0.0, 1.0);
  check_positive("epsilon", epsilon_);
  for (TrainedParameter& trained : list_trained(parameters, config, seed))
    slots_.push_back({trained, trained.make_state(), trained.make_state()});
}

void AdamW::step(int64_t step, double learning_rate, double gradient_scale) {
  StepTargets targets(step, learning_rate);
  std::vector<kernels::AdamWUpdate> updates;
  for (Slot& slot : slots_)
    if (const auto target = targets.add(slot.trained))
      updates.push_back(
          {*target, slot.first_moment.data_ptr<float>(), slot.second_moment.data_ptr<float>()});
  kernels::update_adamw(updates, {.gradient_scale = gradient_scale,
                                  .beta1 = beta1_,
                                  .beta2 = beta2_,
                                  .epsilon = epsilon_,
                                  .step = step});
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
