#include "train/step.h"

#include <algorithm>
#include <cmath>

#include "model/accounting.h"
#include "train/model_input.h"

namespace flanmoe::train {
namespace {

int64_t mean_length(int64_t num_tokens, int64_t num_examples) {
  return std::llround(static_cast<double>(num_tokens) /
                      static_cast<double>(std::max<int64_t>(1, num_examples)));
}

}  // namespace

Counts count_batch(const data::Batch& batch, const model::ModelConfig& config) {
  return {.step = 1,
          .num_examples = batch.num_examples,
          .num_input_tokens = batch.num_input_tokens,
          .num_target_tokens = batch.num_target_tokens,
          .num_cut_inputs = batch.statistics.num_cut_inputs,
          .num_cut_targets = batch.statistics.num_cut_targets,
          .train_flops =
              model::count_train_flops(config, batch.num_input_tokens, batch.num_target_tokens,
                                       mean_length(batch.num_input_tokens, batch.num_examples),
                                       mean_length(batch.num_target_tokens, batch.num_examples))};
}

nn::Context make_training_context(const Config& config, int64_t step) {
  nn::Context context;
  context.is_training = true;
  context.compute_dtype = config.precision == Precision::BFloat16 ? at::kBFloat16 : at::kFloat;
  context.seed = static_cast<uint64_t>(config.seed);
  context.step = step;
  context.recomputes_blocks = config.recompute == Recompute::Blocks;
  return context;
}

StepValues compute_gradients(const model::Model& model, const data::Batch& batch,
                             const Config& config, int64_t step, ExpertStatistics& experts) {
  nn::Context context = make_training_context(config, step);
  if (model.config().is_sparse()) context.routing_sink = &experts;
  const model::ModelInput input = to_model_input(batch, model.config(), model.device());
  const model::LossOutput output =
      model.loss(input, context,
                 {.z_coefficient = config.logit_z_coefficient,
                  .label_smoothing = config.label_smoothing,
                  .normalisation = config.loss_normalisation});
  StepValues values = read_losses(output);
  if (std::isfinite(values.front().second) && output.loss.requires_grad()) output.loss.backward();
  return values;
}

}  // namespace flanmoe::train
