#include "train/optimizers/parameter_groups.h"

#include "train/optimizers/checks.h"

namespace flanmoe::train {
namespace {

bool is_decayed(const nn::Parameter& parameter) {
  const int64_t num_dims = parameter.tensor.dim() - (parameter.tags.is_expert() ? 1 : 0);
  return !parameter.tags.is_norm && !parameter.tags.is_relative_bias && num_dims >= 2;
}

}  // namespace

GroupValues find_group_values(const nn::Parameter& parameter, const OptimizerConfig& config) {
  const ParameterGroupConfig& group = parameter.tags.is_router     ? config.router
                                      : parameter.tags.is_expert() ? config.expert
                                                                   : config.rest;
  const double weight_decay = group.weight_decay.value_or(config.weight_decay);
  return {group.learning_rate_scale,
          config.decays_norms || is_decayed(parameter) ? weight_decay : 0.0};
}

void check_groups(const OptimizerConfig& config) {
  check_not_negative("weight_decay", config.weight_decay);
  for (const auto& [name, group] : {std::pair{std::string("router"), &config.router},
                                    {"expert", &config.expert},
                                    {"rest", &config.rest}}) {
    check_not_negative((name + ".learning_rate_scale").c_str(), group->learning_rate_scale);
    if (group->weight_decay)
      check_not_negative((name + ".weight_decay").c_str(), *group->weight_decay);
  }
}

}  // namespace flanmoe::train
