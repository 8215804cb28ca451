// Stochastic gradient descent as torch.optim.SGD computes it (no dampening): momentum, Nesterov's,
// and weight decay that is part of the gradient.
#pragma once

#include "train/optimizers/optimizer.h"
#include "train/optimizers/trained_parameter.h"

namespace flanmoe::train {

class Sgd : public Optimizer {
 public:
  Sgd(const nn::Parameters& parameters, const OptimizerConfig& config,
      const UpdateOptions& options);
  void step(int64_t step, double learning_rate, double gradient_scale) override;
  checkpoint::NamedTensors state() override;

 private:
  struct Slot {
    TrainedParameter trained;
    at::Tensor momentum;  // undefined without
  };

  double momentum_;
  bool has_nesterov_;
  std::vector<Slot> slots_;
};

}  // namespace flanmoe::train
