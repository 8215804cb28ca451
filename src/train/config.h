// One training stage, from config to what it wrote.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/config.h"
#include "data/batch.h"
#include "model/loss_normalisation.h"
#include "train/optimizers/optimizer.h"

namespace flanmoe::train {

enum class ScheduleKind { Constant };
enum class Precision { Float32, BFloat16 };

}  // namespace flanmoe::train

template <>
struct flanmoe::EnumNames<flanmoe::train::ScheduleKind> {
  static constexpr std::pair<train::ScheduleKind, std::string_view> values[] = {
      {train::ScheduleKind::Constant, "constant"}};
};
template <>
struct flanmoe::EnumNames<flanmoe::train::Precision> {
  static constexpr std::pair<train::Precision, std::string_view> values[] = {
      {train::Precision::Float32, "float32"}, {train::Precision::BFloat16, "bfloat16"}};
};

namespace flanmoe::train {

struct Config {
  int64_t steps = 1000;    // of this stage
  double train_flops = 0;  // > 0: train until so many FLOPs are spent instead of `steps`
  double learning_rate = 1e-3;
  int64_t warmup_steps = 0;  // linear from 0
  ScheduleKind schedule = ScheduleKind::Constant;
  double max_gradient_norm = 1.0;            // 0: no clipping
  Precision precision = Precision::Float32;  // of compute; parameters and optimizer state stay fp32
  double logit_z_coefficient = 0.0;
  model::LossNormalisation loss_normalisation = model::LossNormalisation::Tokens;
  int64_t log_every = 1;
  int64_t checkpoint_every = 0;  // steps; 0: at the end only
  int64_t seed = 0;
  std::vector<std::string> trainable = {"all"};  // sets of parameters: parameter_sets.h
  std::vector<std::string> frozen;               // wins over `trainable`
  bool keeps_optimizer_state = false;
  bool starts_from_optimizer_state = false;
  OptimizerConfig optimizer;
  data::BatchConfig batch;
  template <class Visitor>
  void visit(Visitor& v) {
    v("steps", steps, "optimizer steps of this stage");
    v("train_flops", train_flops,
      "if positive, train until so many FLOPs are spent, instead of steps");
    v("learning_rate", learning_rate, "peak learning rate");
    v("warmup_steps", warmup_steps, "steps of linear warm-up");
    v("schedule", schedule, "after the warm-up");
    v("max_gradient_norm", max_gradient_norm, "global-norm clipping; 0 turns it off");
    v("precision", precision, "float32 or bfloat16 compute; master weights are float32");
    v("logit_z_coefficient", logit_z_coefficient, "weight of logsumexp(logits)^2");
    v("loss_normalisation", loss_normalisation,
      "tokens: mean over target tokens; sequences: mean over examples of their means");
    v("log_every", log_every, "steps between lines of metrics.jsonl");
    v("checkpoint_every", checkpoint_every, "steps between checkpoints; 0 saves at the end only");
    v("seed", seed, "seed of data order and noise");
    v("trainable", trainable,
      "sets of parameters to train: gate, expert, moe, non-moe, embedding, all, or /regex/ on "
      "names");
    v("frozen", frozen, "sets of parameters to leave as they are, even where trainable has them");
    v("keeps_optimizer_state", keeps_optimizer_state,
      "the finished model's folder has the optimizer's state too");
    v("starts_from_optimizer_state", starts_from_optimizer_state,
      "the optimizer goes on with the state that the model's folder has");
    v("optimizer", optimizer, "the optimizer");
    v("batch", batch, "how batches are made");
  }
};

double learning_rate_at(int64_t step, const Config& config);  // step from 1

}  // namespace flanmoe::train
