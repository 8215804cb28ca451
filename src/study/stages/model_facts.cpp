#include "study/stages/model_facts.h"

#include "model/accounting.h"
#include "model/describe.h"
#include "peft/adapter.h"

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

ModelFacts make_model_facts(const model::Model& model) {
  ModelFacts facts = make_model_facts(model.config());
  if (const std::optional<int64_t> active = model.active_adapter()) {
    const peft::Adapter& adapter = model.adapter(*active);
    const int64_t num_parameters = nn::num_elements(adapter.parameters());
    facts.num_parameters += num_parameters;
    facts.num_active_parameters += num_parameters;
    facts.encoder_flops_per_token += adapter.flops_per_token(false);
    facts.decoder_flops_per_token += adapter.flops_per_token(true);
  }
  return facts;
}

}  // namespace flanmoe::study
