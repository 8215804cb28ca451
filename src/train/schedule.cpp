#include <algorithm>

#include "train/config.h"

namespace flanmoe::train {

double learning_rate_at(int64_t step, const Config& config) {
  if (config.warmup_steps <= 0) return config.learning_rate;
  return config.learning_rate *
         std::min(1.0, static_cast<double>(step) / static_cast<double>(config.warmup_steps));
}

}  // namespace flanmoe::train
