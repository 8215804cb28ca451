// Adafactor (arXiv 1804.04235) as in T5X, or with OptimizerConfig::preset Hugging Face's; with
// beta1 a first moment of the steps, as both have it.
#pragma once

#include <optional>
#include <vector>

#include "train/optimizers/optimizer.h"
#include "train/optimizers/trained_parameter.h"

namespace flanmoe::train {

class Adafactor : public Optimizer {
 public:
  Adafactor(const nn::Parameters& parameters, const OptimizerConfig& config,
            const UpdateOptions& options);
  void step(int64_t step, double learning_rate, double gradient_scale) override;
  checkpoint::NamedTensors state() override;

 private:
  struct Slot {
    TrainedParameter trained;
    std::vector<int64_t>
        order;  // of the dims while updating: experts first, the two factored dims last
    kernels::AdafactorShape shape;
    at::Tensor row, column;    // factored
    at::Tensor second_moment;  // not factored
    at::Tensor first_moment;   // undefined without beta1; dims in `order`
    // Of the values as the last update left them, which is when the tensor had this version.
    std::vector<double> value_squares;
    std::optional<int64_t> value_version;
  };
  Slot make_slot(const TrainedParameter& trained) const;

  OptimizerConfig config_;
  std::vector<Slot> slots_;
};

}  // namespace flanmoe::train
