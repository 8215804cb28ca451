// A data::Batch as tensors.
#pragma once

#include "data/batch.h"
#include "model/model.h"

namespace flanmoe::train {

// On `device`, made on the CPU: nothing waits for the device.
model::ModelInput to_model_input(const data::Batch& batch, const model::ModelConfig& config,
                                 const at::Device& device);
// As model::measure() of that input.
model::BatchSize measure(const data::Batch& batch);

}  // namespace flanmoe::train
