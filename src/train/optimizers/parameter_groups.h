// Learning rates and weight decay by the tags of parameters.
#pragma once

#include "nn/parameter.h"
#include "train/optimizers/optimizer.h"

namespace flanmoe::train {

// Of one parameter.
struct GroupValues {
  double learning_rate_scale = 1.0;
  double weight_decay = 0.0;
};

// Group `router` has what is tagged as a router (those of stacked experts too), `expert` what has
// an expert axis, `rest` all else. Unless config.decays_norms, norms, relative biases and what has
// fewer than two dims beside the expert axis have no weight decay: Hugging Face's Trainer leaves
// norms and biases out, T5X has no decay at all, torch.optim decays whatever it is given.
GroupValues find_group_values(const nn::Parameter& parameter, const OptimizerConfig& config);

// Throws InvalidConfig naming optimizer.<group>.<key>.
void check_groups(const OptimizerConfig& config);

}  // namespace flanmoe::train
