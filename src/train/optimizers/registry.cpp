#include "train/optimizers/adafactor.h"
#include "train/optimizers/adamw.h"
#include "train/optimizers/sgd.h"

namespace flanmoe::train {
namespace {

template <class Kind>
std::unique_ptr<Optimizer> make(const nn::Parameters& parameters, const OptimizerConfig& config,
                                const UpdateOptions& options) {
  return std::make_unique<Kind>(parameters, config, options);
}

Registry<MakeOptimizer> make_registry() {
  Registry<MakeOptimizer> registry("optimizer");
  registry.add("adafactor", make<Adafactor>);
  registry.add("adamw", make<AdamW>);
  registry.add("sgd", make<Sgd>);
  return registry;
}

}  // namespace

const Registry<MakeOptimizer>& optimizer_registry() {
  static const Registry<MakeOptimizer> registry = make_registry();
  return registry;
}

std::unique_ptr<Optimizer> make_optimizer(const nn::Parameters& parameters,
                                          const OptimizerConfig& config,
                                          const UpdateOptions& options) {
  return optimizer_registry().get(config.name)(parameters, config, options);
}

}  // namespace flanmoe::train
