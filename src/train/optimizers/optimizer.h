// Optimizers update parameters in place from their gradients.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/config.h"
#include "base/registry.h"
#include "checkpoint/named_tensors.h"
#include "nn/parameter.h"

namespace flanmoe::train {

enum class AdafactorPreset { T5x, HuggingFace };

// What a group of parameters has of its own.
struct ParameterGroupConfig {
  double learning_rate_scale = 1.0;
  std::optional<double> weight_decay;  // the optimizer's where not given
  template <class Visitor>
  void visit(Visitor& v) {
    v("learning_rate_scale", learning_rate_scale, "factor of the learning rate");
    v("weight_decay", weight_decay, "weight decay; the optimizer's where not given");
  }
};

}  // namespace flanmoe::train

template <>
struct flanmoe::EnumNames<flanmoe::train::AdafactorPreset> {
  static constexpr std::pair<train::AdafactorPreset, std::string_view> values[] = {
      {train::AdafactorPreset::T5x, "t5x"}, {train::AdafactorPreset::HuggingFace, "hf"}};
};

namespace flanmoe::train {

struct OptimizerConfig {
  std::string name = "adafactor";  // of the optimizer registry: "adafactor", "adamw", "sgd"
  AdafactorPreset preset = AdafactorPreset::T5x;
  double weight_decay = 0.0;
  bool decays_norms = false;          // parameter_groups.h
  std::optional<double> beta1;        // adamw: 0.9 where not given; adafactor: then no first moment
  double beta2 = 0.999;               // adamw
  double epsilon = 1e-8;              // adamw
  double momentum = 0.0;              // sgd
  bool has_nesterov = false;          // sgd
  double decay_rate = 0.8;            // adafactor: beta2_t = 1 - t^-decay_rate
  double clipping_threshold = 1.0;    // adafactor: RMS of an update
  double min_parameter_scale = 1e-3;  // adafactor: floor of the RMS of a parameter
  bool scales_by_parameter =
      true;  // adafactor: the step is learning_rate x max(floor, RMS(parameter))
  int64_t min_factored_dim = 128;  // adafactor: factored where the two largest dims are both at
                                   // least this (facts.md item 130); 0: always, the last two (HF)
  bool is_per_expert =
      true;  // adafactor: clip, scale and factor stacked experts one by one (item 133)
  ParameterGroupConfig router, expert, rest;
  template <class Visitor>
  void visit(Visitor& v) {
    v("name", name, "adafactor, adamw or sgd");
    v("preset", preset,
      "adafactor: t5x, or hf, which sets min_factored_dim = 0 and is_per_expert = false where they "
      "are not given");
    if (was_given(v, "preset")) apply_preset();
    v("weight_decay", weight_decay,
      "weight decay: decoupled, for sgd added to the gradient as torch.optim.SGD has it");
    v("decays_norms", decays_norms,
      "weight decay of norms, relative biases and vectors too, as torch.optim does without groups");
    v("beta1", beta1,
      "decay of the first moment; where not given 0.9 for adamw, no first moment for adafactor");
    v("beta2", beta2, "adamw: decay of the second moment");
    v("epsilon", epsilon, "adamw: added to the root of the second moment");
    v("momentum", momentum, "sgd: decay of the sum of gradients; 0: none is kept");
    v("has_nesterov", has_nesterov, "sgd: Nesterov's momentum");
    v("decay_rate", decay_rate, "adafactor: beta2 is 1 - step^-decay_rate");
    v("clipping_threshold", clipping_threshold, "adafactor: largest RMS of an update");
    v("min_parameter_scale", min_parameter_scale, "adafactor: floor of a parameter's RMS");
    v("scales_by_parameter", scales_by_parameter,
      "adafactor: steps are relative to a parameter's RMS");
    v("min_factored_dim", min_factored_dim,
      "adafactor: smaller matrices keep a full second moment; 0 factors all");
    v("is_per_expert", is_per_expert,
      "adafactor: every expert is clipped, scaled and factored by itself");
    v("router", router, "of routers");
    v("expert", expert, "of stacked experts");
    v("rest", rest, "of all other parameters");
  }
  // Sets what a preset stands for.
  void apply_preset() {
    const bool is_t5x = preset == AdafactorPreset::T5x;
    min_factored_dim = is_t5x ? 128 : 0;
    is_per_expert = is_t5x;
  }
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  // One update, number `step` from 1. Parameters without a gradient are left alone.
  // `gradient_scale` multiplies every gradient as it is read (clipping). Gradients are float32 or
  // bfloat16, of the parameter's shape.
  virtual void step(int64_t step, double learning_rate, double gradient_scale) = 0;
  // State as named tensors ("<parameter>.row", ...), shared with the optimizer, for saving; loading
  // copies in. Throws CorruptFile on a name or shape that does not fit.
  virtual checkpoint::NamedTensors state() = 0;
  void load_state(const checkpoint::NamedTensors& saved);
};

// What computes an update.
enum class UpdatePath {
  Loops,     // kernels.h, of parameters on the CPU
  TensorOps  // tensor_updates.h, on any device
};

struct UpdateOptions {
  uint64_t seed = 0;               // of stochastic rounding
  std::optional<UpdatePath> path;  // not given: loops on the CPU, tensor operations elsewhere
};

using MakeOptimizer = std::unique_ptr<Optimizer> (*)(const nn::Parameters&, const OptimizerConfig&,
                                                     const UpdateOptions&);
const Registry<MakeOptimizer>& optimizer_registry();
// For the parameters that require a gradient: float32, or bfloat16, whose updates are computed in
// float32 and rounded stochastically (stochastic_rounding.h). State is on the parameter's device.
// Throws NotFound on an unknown name, InvalidConfig on values that cannot be right, Unsupported on
// a parameter of another type, or on another device than the CPU where loops are asked for.
std::unique_ptr<Optimizer> make_optimizer(const nn::Parameters& parameters,
                                          const OptimizerConfig& config,
                                          const UpdateOptions& options = {});

}  // namespace flanmoe::train
