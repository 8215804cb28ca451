#include <cmath>

#include "base/error.h"
#include "train/schedule.h"
#include "train/stochastic_rounding.h"
#include "train/trainer.h"

namespace flanmoe::train {

void validate(const Config& config, const std::string& path) {
  const auto fail_at = [&](const char* key, double value, const char* expected) {
    fail(ErrorCode::InvalidConfig, "[{}] {} is {}, expected {}", path, key, value, expected);
  };
  const auto expect_count = [&](const char* key, int64_t value, int64_t least = 0) {
    if (value < least)
      fail_at(key, static_cast<double>(value),
              least > 0 ? "at least 1" : "0 or more, a whole number");
  };
  const auto expect_number = [&](const char* key, double value) {
    if (!(value >= 0 && std::isfinite(value))) fail_at(key, value, "a number that is not negative");
  };
  expect_count("steps", config.steps);
  expect_count("tokens", config.tokens);
  expect_number("train_flops", config.train_flops);
  expect_number("wall_s", config.wall_s);
  validate_schedule(config, path);
  validate_stochastic_rounding(config, path);
  expect_number("max_gradient_norm", config.max_gradient_norm);
  expect_number("logit_z_coefficient", config.logit_z_coefficient);
  const auto expect_rate = [&](const char* key, const std::optional<double>& value) {
    if (value && !(*value >= 0 && *value < 1)) fail_at(key, *value, "a number from 0 to below 1");
  };
  expect_rate("label_smoothing", config.label_smoothing);
  expect_rate("dropout_rate", config.dropout_rate);
  expect_rate("expert_dropout_rate", config.expert_dropout_rate);
  expect_rate("jitter", config.jitter);
  expect_count("accumulation_steps", config.accumulation_steps, 1);
  if (config.accumulation_steps > config.batch.batch_size)
    fail(ErrorCode::InvalidConfig,
         "[{}] accumulation_steps is {}, expected no more than the {} rows of batch.batch_size",
         path, config.accumulation_steps, config.batch.batch_size);
  expect_count("evaluate_every", config.evaluate_every);
  expect_count("patience", config.patience);
  for (const auto& [key, is_used] :
       {std::pair{"patience", config.patience > 0}, std::pair{"keeps_best", config.keeps_best}})
    if (is_used && config.evaluate_every == 0)
      fail(ErrorCode::InvalidConfig,
           "[{}] {} needs evaluations: evaluate_every is 0, expected at least 1", path, key);
  expect_count("log_every", config.log_every, 1);
  expect_count("checkpoint_every", config.checkpoint_every);
  expect_number("checkpoint_every_s", config.checkpoint_every_s);
  expect_count("keep_last", config.keep_last, 1);
  expect_count("keep_every", config.keep_every);
  data::validate(config.batch, path + ".batch");
}

}  // namespace flanmoe::train
