// AdamW (arXiv 1711.05101) as torch.optim.AdamW computes it.
#pragma once

#include "train/optimizers/optimizer.h"
#include "train/optimizers/trained_parameter.h"

namespace flanmoe::train {

class AdamW : public Optimizer {
 public:
  AdamW(const nn::Parameters& parameters, const OptimizerConfig& config,
        const UpdateOptions& options);
  void step(int64_t step, double learning_rate, double gradient_scale) override;
  checkpoint::NamedTensors state() override;

 private:
  struct Slot {
    TrainedParameter trained;
    at::Tensor first_moment, second_moment;
  };

  double beta1_, beta2_, epsilon_;
  std::vector<Slot> slots_;
};

}  // namespace flanmoe::train
