// Optimizers update parameters in place from their gradients.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/registry.h"
#include "checkpoint/named_tensors.h"
#include "nn/parameter.h"

namespace flanmoe::train {

struct OptimizerConfig {
  std::string name = "adafactor";  // of the optimizer registry: "adafactor", "adamw"
  double weight_decay = 0.0;
  double beta1 = 0.9;                 // adamw
  double beta2 = 0.999;               // adamw
  double epsilon = 1e-8;              // adamw
  double decay_rate = 0.8;            // adafactor: beta2_t = 1 - t^-decay_rate
  double clipping_threshold = 1.0;    // adafactor: RMS of an update
  double min_parameter_scale = 1e-3;  // adafactor: floor of the RMS of a parameter
  bool scales_by_parameter =
      true;  // adafactor: the step is learning_rate x max(floor, RMS(parameter))
  int64_t min_factored_dim = 128;  // adafactor: factored where the two largest dims are both at
                                   // least this (facts.md item 130); 0: always (HF)
  bool is_per_expert =
      true;  // adafactor: clip, scale and factor stacked experts one by one (item 133)
  template <class Visitor>
  void visit(Visitor& v) {
    v("name", name, "adafactor or adamw");
    v("weight_decay", weight_decay, "decoupled weight decay");
    v("beta1", beta1, "adamw: decay of the first moment");
    v("beta2", beta2, "adamw: decay of the second moment");
    v("epsilon", epsilon, "adamw: added to the root of the second moment");
    v("decay_rate", decay_rate, "adafactor: beta2 is 1 - step^-decay_rate");
    v("clipping_threshold", clipping_threshold, "adafactor: largest RMS of an update");
    v("min_parameter_scale", min_parameter_scale, "adafactor: floor of a parameter's RMS");
    v("scales_by_parameter", scales_by_parameter,
      "adafactor: steps are relative to a parameter's RMS");
    v("min_factored_dim", min_factored_dim,
      "adafactor: smaller matrices keep a full second moment; 0 factors all");
    v("is_per_expert", is_per_expert,
      "adafactor: every expert is clipped, scaled and factored by itself");
  }
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  // One update, number `step` from 1. Parameters without a gradient are left alone.
  // `gradient_scale` multiplies every gradient as it is read (clipping).
  virtual void step(int64_t step, double learning_rate, double gradient_scale) = 0;
  // State as named tensors ("<parameter>.row", ...), shared with the optimizer, for saving; loading
  // copies in. Throws CorruptFile on a name or shape that does not fit.
  virtual checkpoint::NamedTensors state() = 0;
  void load_state(const checkpoint::NamedTensors& saved);
};

using MakeOptimizer = std::unique_ptr<Optimizer> (*)(const nn::Parameters&, const OptimizerConfig&);
const Registry<MakeOptimizer>& optimizer_registry();
std::unique_ptr<Optimizer> make_optimizer(const nn::Parameters& parameters,
                                          const OptimizerConfig& config);

}  // namespace flanmoe::train
