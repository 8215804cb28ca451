// From a model's config to what tables and the report show of it.
#pragma once

#include "model/config.h"
#include "study/record.h"

namespace flanmoe::study {

ModelFacts make_model_facts(const model::ModelConfig& config);

}  // namespace flanmoe::study
