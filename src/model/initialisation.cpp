#include "model/initialisation.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "nn/random_fill.h"

namespace flanmoe::model {
namespace {

double initial_std(const std::string& name, const nn::ParameterTags& tags,
                   const ModelConfig& config) {
  const auto ends_with = [&](std::string_view suffix) { return name.ends_with(suffix); };
  const double d_model = static_cast<double>(config.d_model),
               d_kv = static_cast<double>(config.d_kv);
  if (tags.is_embedding && name != "lm_head.weight") return 1.0;
  if (tags.is_router) return 0.02;
  if (ends_with(".q.weight")) return 1 / std::sqrt(d_model * d_kv);
  if (ends_with(".o.weight")) return 1 / std::sqrt(static_cast<double>(config.num_heads) * d_kv);
  if (ends_with(".wo.weight")) return 1 / std::sqrt(static_cast<double>(config.d_ff));
  return 1 / std::sqrt(d_model);
}

}  // namespace

void initialise(const nn::Parameters& parameters, const ModelConfig& config, uint64_t seed) {
  const at::NoGradGuard no_grad;
  for (const nn::Parameter& parameter : parameters) {
    if (parameter.tags.is_norm)
      parameter.tensor.fill_(1);
    else
      nn::fill_normal(parameter.tensor, initial_std(parameter.name, parameter.tags, config), seed,
                      parameter.name);
  }
}

}  // namespace flanmoe::model
