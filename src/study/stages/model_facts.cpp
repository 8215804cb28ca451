#include "study/stages/model_facts.h"

#include "model/accounting.h"
#include "model/describe.h"

namespace flanmoe::study {

ModelFacts make_model_facts(const model::ModelConfig& config) {
  const auto counts = model::count_parameters(config);
  const auto flops = model::count_flops_per_token(config);
  return {.num_parameters = counts.total,
          .num_active_parameters = counts.active,
          .num_experts = config.is_sparse()
                             ? config.moe_of(config.encoder_sparse_layers.empty()).num_experts
                             : 0,
          .router = model::describe_routers(config),
          .training_difference = model::describe_training_difference(config),
          .encoder_flops_per_token = flops.encoder,
          .decoder_flops_per_token = flops.decoder};
}

}  // namespace flanmoe::study
