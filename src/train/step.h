// One step: what a batch costs, and the gradients that it gives.
#pragma once

#include "data/batch.h"
#include "model/model.h"
#include "train/config.h"
#include "train/metrics.h"

namespace flanmoe::train {

// What a step with this batch adds to the counts of a stage.
// Training FLOPs are those of the active adapter's step where the model has one
// (model/accounting.h).
Counts count_batch(const data::Batch& batch, const model::Model& model);

// The context of training step `step`, without sinks.
nn::Context make_training_context(const Config& config, int64_t step);

// Forward and backward over `batch`; gradients are added to those of the model's parameters.
// Returns the losses (read_losses); where the loss is not finite, the backward pass is left out.
//
// With accumulation_steps n the rows go through the model in n parts of about the same number of
// rows, one after the other; losses and gradients are those of the whole batch, normalised by its
// target tokens or sequences, but for rounding and what LossOptions::whole says of routing groups.
// Noise is keyed by example and token, so it is that of the whole batch too.
StepValues compute_gradients(const model::Model& model, const data::Batch& batch,
                             const Config& config, nn::Context& context);

}  // namespace flanmoe::train
