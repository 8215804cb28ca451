// AdamW (arXiv 1711.05101) as torch.optim.AdamW computes it.
#pragma once

#include "train/optimizers/optimizer.h"

namespace flanmoe::train {

class AdamW : public Optimizer {
 public:
  AdamW(const nn::Parameters& parameters, const OptimizerConfig& config);
  void step(int64_t step, double learning_rate, double gradient_scale) override;
  checkpoint::NamedTensors state() override;

 private:
  struct Slot {
    nn::Parameter parameter;
    at::Tensor first_moment, second_moment;  // contiguous
  };

  OptimizerConfig config_;
  std::vector<Slot> slots_;
};

}  // namespace flanmoe::train
