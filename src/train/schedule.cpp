#include "train/schedule.h"

#include <algorithm>

namespace flanmoe::train {

double learning_rate_at(const Standing& standing, const Config& config) {
  if (config.warmup_steps <= 0) return config.learning_rate;
  return config.learning_rate * std::min(1.0, static_cast<double>(standing.step) /
                                                  static_cast<double>(config.warmup_steps));
}

}  // namespace flanmoe::train
