// One training stage, from config to what it wrote.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "data/batch.h"
#include "model/loss_normalisation.h"
#include "train/optimizers/optimizer.h"

namespace flanmoe::train {

enum class ScheduleKind {
  Constant,
  Linear,
  Cosine,
  InverseSquareRoot,
  RelativeStep
};  // schedule.h
enum class Precision { Float32, BFloat16 };
enum class Recompute { None, Blocks };
enum class OnNonFinite { Stop, Skip };

}  // namespace flanmoe::train

template <>
struct flanmoe::EnumNames<flanmoe::train::ScheduleKind> {
  static constexpr std::pair<train::ScheduleKind, std::string_view> values[] = {
      {train::ScheduleKind::Constant, "constant"},
      {train::ScheduleKind::Linear, "linear"},
      {train::ScheduleKind::Cosine, "cosine"},
      {train::ScheduleKind::InverseSquareRoot, "inverse-square-root"},
      {train::ScheduleKind::RelativeStep, "relative-step"}};
};
template <>
struct flanmoe::EnumNames<flanmoe::train::Precision> {
  static constexpr std::pair<train::Precision, std::string_view> values[] = {
      {train::Precision::Float32, "float32"}, {train::Precision::BFloat16, "bfloat16"}};
};
template <>
struct flanmoe::EnumNames<flanmoe::train::Recompute> {
  static constexpr std::pair<train::Recompute, std::string_view> values[] = {
      {train::Recompute::None, "none"}, {train::Recompute::Blocks, "blocks"}};
};
template <>
struct flanmoe::EnumNames<flanmoe::train::OnNonFinite> {
  static constexpr std::pair<train::OnNonFinite, std::string_view> values[] = {
      {train::OnNonFinite::Stop, "stop"}, {train::OnNonFinite::Skip, "skip"}};
};

namespace flanmoe::train {

// A budget of 0 does not limit. The first one that is spent ends the stage; with none given, it is
// 1000 steps.
struct Config {
  int64_t steps = 0;
  int64_t tokens = 0;  // real input and target tokens
  double train_flops = 0;
  double wall_s = 0;  // over all processes of a run that was resumed

  double learning_rate = 1e-3;
  int64_t warmup_steps = 0;  // linear from 0
  ScheduleKind schedule = ScheduleKind::Constant;
  int64_t decay_steps = 0;               // 0: to the end of the budget
  double final_learning_rate_scale = 0;  // of linear and cosine, relative to learning_rate
  double max_gradient_norm = 1.0;        // 0: no clipping
  OptimizerConfig optimizer;

  Precision precision = Precision::Float32;  // of compute; optimizer state stays fp32, parameters
                                             // too but for:
  bool has_stochastic_rounding = false;      // stochastic_rounding.h
  Recompute recompute = Recompute::None;
  int64_t accumulation_steps = 1;

  double logit_z_coefficient = 0.0;
  double label_smoothing = 0.0;
  model::LossNormalisation loss_normalisation = model::LossNormalisation::Tokens;
  OnNonFinite on_non_finite = OnNonFinite::Stop;
  std::optional<double> dropout_rate, expert_dropout_rate, jitter;  // none: as the model's config

  int64_t log_every = 1;
  bool writes_tensorboard = true;
  int64_t checkpoint_every = 0;  // steps
  double checkpoint_every_s = 0;
  int64_t keep_last = 2;
  int64_t keep_every = 0;  // steps

  int64_t evaluate_every = 0;  // steps
  std::string monitor = "loss";
  int64_t patience = 0;  // evaluations
  bool keeps_best = false;

  int64_t seed = 0;
  std::vector<std::string> trainable = {"all"};  // sets of parameters: parameter_sets.h
  std::vector<std::string> frozen;               // wins over `trainable`
  bool keeps_optimizer_state = false;
  bool starts_from_optimizer_state = false;
  data::BatchConfig batch;
  template <class Visitor>
  void visit(Visitor& v) {
    v("steps", steps,
      "end after so many optimizer steps; 0: no limit (1000 where no budget is given)");
    v("tokens", tokens, "end after so many real input and target tokens; 0: no limit");
    v("train_flops", train_flops, "end after so many training FLOPs; 0: no limit");
    v("wall_s", wall_s, "end after so many seconds of training; 0: no limit");
    v("schedule", schedule,
      "after the warm-up: constant; linear, cosine: down to final_learning_rate_scale; "
      "inverse-square-root: with 1 / sqrt(step); relative-step: the smaller of learning_rate (1e-2 "
      "unless given) and 1 / sqrt(step), Adafactor's own");
    if (was_given(v, "schedule") && schedule == ScheduleKind::RelativeStep) learning_rate = 1e-2;
    v("learning_rate", learning_rate, "peak learning rate");
    v("warmup_steps", warmup_steps, "steps of linear warm-up");
    v("decay_steps", decay_steps,
      "steps from the end of the warm-up to the end of the decay (linear, cosine); 0: as long as "
      "the "
      "budget lasts");
    v("final_learning_rate_scale", final_learning_rate_scale,
      "where linear and cosine end, relative to learning_rate");
    v("max_gradient_norm", max_gradient_norm, "global-norm clipping; 0 turns it off");
    v("precision", precision, "float32 or bfloat16 compute; master weights are float32");
    v("has_stochastic_rounding", has_stochastic_rounding,
      "no float32 master weights: parameters are bfloat16 and updates are rounded at random");
    v("recompute", recompute,
      "blocks: activations inside a block are computed anew in the backward pass, which saves "
      "memory");
    v("accumulation_steps", accumulation_steps,
      "a batch goes through the model in so many parts, with the gradient of the whole");
    v("logit_z_coefficient", logit_z_coefficient, "weight of logsumexp(logits)^2");
    v("label_smoothing", label_smoothing,
      "share of the target probability that is spread evenly over the vocabulary");
    v("loss_normalisation", loss_normalisation,
      "tokens: mean over target tokens; sequences: mean over examples of their means");
    v("on_non_finite", on_non_finite,
      "a loss or gradient that is not finite: stop, or skip the step and count it");
    v("dropout_rate", dropout_rate, "dropout of this stage; not given: that of the model");
    v("expert_dropout_rate", expert_dropout_rate,
      "dropout inside the experts; not given: that of the model");
    v("jitter", jitter,
      "the router's input is multiplied by U(1 - jitter, 1 + jitter); not given: as the model has "
      "it");
    v("log_every", log_every, "steps between lines of metrics.jsonl");
    v("writes_tensorboard", writes_tensorboard, "TensorBoard event files beside metrics.jsonl");
    v("checkpoint_every", checkpoint_every, "steps between checkpoints; 0: no such rule");
    v("checkpoint_every_s", checkpoint_every_s, "seconds between checkpoints; 0: no such rule");
    v("keep_last", keep_last, "newest checkpoints to keep");
    v("keep_every", keep_every, "keep every checkpoint whose step is a multiple of this; 0: none");
    v("evaluate_every", evaluate_every, "steps between evaluations on validation data; 0: none");
    v("monitor", monitor, "the evaluation's value that decides which checkpoint is best");
    v("patience", patience,
      "end after so many evaluations without a better value; 0: go on to the end of the budget");
    v("keeps_best", keeps_best, "the finished model is the best evaluated one, not the last");
    v("seed", seed, "seed of data order and noise");
    v("trainable", trainable,
      "sets of parameters to train: gate, expert, moe, non-moe, embedding, adapter, all, or "
      "/regex/ "
      "on names");
    v("frozen", frozen, "sets of parameters to leave as they are, even where trainable has them");
    v("keeps_optimizer_state", keeps_optimizer_state,
      "the finished model's folder has the optimizer's state too");
    v("starts_from_optimizer_state", starts_from_optimizer_state,
      "the optimizer goes on with the state that the model's folder has");
    v("optimizer", optimizer, "the optimizer");
    v("batch", batch, "how batches are made");
  }
};

}  // namespace flanmoe::train
