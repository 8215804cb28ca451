// One step: what a batch costs, and the gradients that it gives.
#pragma once

#include "data/batch.h"
#include "model/model.h"
#include "train/config.h"
#include "train/expert_statistics.h"
#include "train/metrics.h"

namespace flanmoe::train {

// What a step with this batch adds to the counts of a stage.
Counts count_batch(const data::Batch& batch, const model::ModelConfig& config);

// The context of training step `step`.
nn::Context make_training_context(const Config& config, int64_t step);

// Forward and backward over `batch`; gradients are added to those of the model's parameters.
// Returns the losses (read_losses); where the loss is not finite there is no backward pass.
StepValues compute_gradients(const model::Model& model, const data::Batch& batch,
                             const Config& config, int64_t step, ExpertStatistics& experts);

}  // namespace flanmoe::train
