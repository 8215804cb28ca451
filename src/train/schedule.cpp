#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "train/budget.h"

namespace flanmoe::train {
namespace {

bool has_decay(ScheduleKind kind) {
  return kind == ScheduleKind::Linear || kind == ScheduleKind::Cosine;
}

// Share of the decay that is behind, 0 to 1.
double find_decayed(const Standing& standing, const Config& config) {
  const auto made = static_cast<double>(standing.step - 1),
             warmup = static_cast<double>(config.warmup_steps);
  if (made <= warmup) return 0;
  double decayed = 1;
  if (config.decay_steps > 0) {
    decayed = (made - warmup) / static_cast<double>(config.decay_steps);
  } else if (const int64_t steps = Budget(config).steps_alone(); steps > 0) {
    if (steps > config.warmup_steps)
      decayed = (made - warmup) / (static_cast<double>(steps) - warmup);
  } else {
    const double at_warmup = standing.fraction * warmup / made;
    decayed = (standing.fraction - at_warmup) / (1.0 - at_warmup);
  }
  return std::clamp(decayed, 0.0, 1.0);
}

double find_decay_scale(double decayed, const Config& config) {
  const double final_scale = config.final_learning_rate_scale;
  const double left = config.schedule == ScheduleKind::Linear
                          ? 1.0 - decayed
                          : 0.5 * (1.0 + std::cos(std::numbers::pi * decayed));
  return final_scale + (1.0 - final_scale) * left;
}

}  // namespace

double learning_rate_at(const Standing& standing, const Config& config) {
  const auto step = static_cast<double>(standing.step);
  const double warmup = static_cast<double>(std::max<int64_t>(1, config.warmup_steps));
  const double warmed = config.learning_rate * std::min(1.0, step / warmup);
  switch (config.schedule) {
    case ScheduleKind::Constant:
      return warmed;
    case ScheduleKind::Linear:
    case ScheduleKind::Cosine:
      return warmed * find_decay_scale(find_decayed(standing, config), config);
    case ScheduleKind::InverseSquareRoot:
      return warmed * std::sqrt(warmup / std::max(warmup, step));
    case ScheduleKind::RelativeStep:
      return std::min(warmed, 1.0 / std::sqrt(step));
  }
  fail(ErrorCode::Internal, "[train] a schedule without a formula");
}

void validate_schedule(const Config& config, const std::string& place) {
  const auto check = [&](bool is_valid, const char* key, auto value, const std::string& expected) {
    if (!is_valid)
      fail(ErrorCode::InvalidConfig, "[{}.{}] is {}, expected {}", place, key, value, expected);
  };
  check(config.learning_rate >= 0 && std::isfinite(config.learning_rate), "learning_rate",
        config.learning_rate, "a number that is not negative");
  check(config.warmup_steps >= 0, "warmup_steps", config.warmup_steps, "at least 0");
  check(config.decay_steps >= 0, "decay_steps", config.decay_steps, "at least 0");
  const double final_scale = config.final_learning_rate_scale;
  check(final_scale >= 0 && final_scale <= 1, "final_learning_rate_scale", final_scale, "0 to 1");
  if (!has_decay(config.schedule)) {
    const std::string expected = "0: the schedule '" + std::string(to_string(config.schedule)) +
                                 "' has no decay; linear and cosine have";
    check(config.decay_steps == 0, "decay_steps", config.decay_steps, expected);
    check(final_scale == 0, "final_learning_rate_scale", final_scale, expected);
  } else if (const int64_t steps = Budget(config).steps_alone();
             config.decay_steps == 0 && steps > 0) {
    check(config.warmup_steps < steps, "warmup_steps", config.warmup_steps,
          "less than steps = " + std::to_string(steps) + ", so that there is a decay");
  }
}

}  // namespace flanmoe::train
