#include "study/stages/model_facts.h"

#include "model/accounting.h"

namespace flanmoe::study {

ModelFacts make_model_facts(const model::ModelConfig& config) {
  const auto counts = model::count_parameters(config);
  const auto flops = model::count_flops_per_token(config);
  return {.num_parameters = counts.total,
          .num_active_parameters = counts.active,
          .num_experts = config.is_sparse() ? config.moe.num_experts : 0,
          .router = config.is_sparse() ? config.moe.router : "",
          .encoder_flops_per_token = flops.encoder,
          .decoder_flops_per_token = flops.decoder};
}

}  // namespace flanmoe::study
