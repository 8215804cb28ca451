// Adafactor (arXiv 1804.04235) without a first moment, as in T5X; Hugging Face's with
// min_factored_dim = 0 and is_per_expert = false.
#pragma once

#include "train/optimizers/kernels.h"
#include "train/optimizers/optimizer.h"

namespace flanmoe::train {

class Adafactor : public Optimizer {
 public:
  Adafactor(const nn::Parameters& parameters, const OptimizerConfig& config);
  void step(int64_t step, double learning_rate, double gradient_scale) override;
  checkpoint::NamedTensors state() override;

 private:
  struct Slot {
    nn::Parameter parameter;
    std::vector<int64_t>
        order;  // of the dims while updating: experts first, the two factored dims last
    kernels::AdafactorShape shape;
    at::Tensor row, column;    // factored
    at::Tensor second_moment;  // not factored
  };
  Slot make_slot(const nn::Parameter& parameter) const;
  void update(Slot& slot, const kernels::AdafactorStep& step);

  OptimizerConfig config_;
  std::vector<Slot> slots_;
};

}  // namespace flanmoe::train
