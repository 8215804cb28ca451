// A data::Batch as tensors.
#pragma once

#include "data/batch.h"
#include "model/model.h"

namespace flanmoe::train {

model::ModelInput to_model_input(const data::Batch& batch, const model::ModelConfig& config,
                                 const at::Device& device);

}  // namespace flanmoe::train
