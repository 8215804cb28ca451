#include "train/step.h"

#include <algorithm>
#include <cmath>

#include "model/accounting.h"
#include "train/model_input.h"
#include "train/precision.h"

namespace flanmoe::train {
namespace {

int64_t mean_length(int64_t num_tokens, int64_t num_examples) {
  return std::llround(static_cast<double>(num_tokens) /
                      static_cast<double>(std::max<int64_t>(1, num_examples)));
}

}  // namespace

Counts count_batch(const data::Batch& batch, const model::Model& model) {
  const int64_t input_length = mean_length(batch.num_input_tokens, batch.num_examples),
                target_length = mean_length(batch.num_target_tokens, batch.num_examples);
  return {.step = 1,
          .num_examples = batch.num_examples,
          .num_input_tokens = batch.num_input_tokens,
          .num_target_tokens = batch.num_target_tokens,
          .num_cut_inputs = batch.statistics.num_cut_inputs,
          .num_cut_targets = batch.statistics.num_cut_targets,
          .train_flops = model::count_train_flops(
              model, batch.num_input_tokens, batch.num_target_tokens, input_length, target_length)};
}

nn::Context make_training_context(const Config& config, int64_t step) {
  nn::Context context;
  context.is_training = true;
  context.compute_dtype = find_compute_dtype(config.precision);
  context.seed = static_cast<uint64_t>(config.seed);
  context.step = step;
  context.recomputes_blocks = config.recompute == Recompute::Blocks;
  context.regularisation = {config.dropout_rate, config.expert_dropout_rate, config.jitter};
  return context;
}

StepValues compute_gradients(const model::Model& model, const data::Batch& batch,
                             const Config& config, nn::Context& context) {
  model::LossOptions options{.z_coefficient = config.logit_z_coefficient,
                             .label_smoothing = config.label_smoothing,
                             .normalisation = config.loss_normalisation};
  const int64_t num_parts = std::min(config.accumulation_steps, batch.num_rows);
  if (num_parts > 1) options.whole = measure(batch);
  StepValues sums;
  for (int64_t part = 0; part < num_parts; ++part) {
    const int64_t first = part * batch.num_rows / num_parts,
                  end = (part + 1) * batch.num_rows / num_parts;
    const model::LossOutput output = model.loss(
        to_model_input(num_parts > 1 ? data::select_rows(batch, first, end - first,
                                                         !model.config().counts_padding())
                                     : batch,
                       model.config(), model.device()),
        context, options);
    for (const auto& [name, value] : read_losses(output)) accumulate(sums, name, value);
    if (!std::isfinite(sums.front().second)) return sums;
    if (output.loss.requires_grad()) output.loss.backward();
  }
  return sums;
}

}  // namespace flanmoe::train
