// From a model to what tables and the report show of it.
#pragma once

#include "model/model.h"
#include "study/record.h"

namespace flanmoe::study {

ModelFacts make_model_facts(const model::ModelConfig& config);
// With the active adapter's parameters and FLOPs.
ModelFacts make_model_facts(const model::Model& model);

}  // namespace flanmoe::study
