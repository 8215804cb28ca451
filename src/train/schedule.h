// The learning rate as a stage goes on.
#pragma once

#include <cstdint>

#include "train/config.h"

namespace flanmoe::train {

// Where a stage stands before a step.
struct Standing {
  int64_t step = 1;     // the one to be made, from 1
  double fraction = 0;  // largest share of any of its budgets that is spent, 0 to 1
};

// Of the step to be made; parameters' groups scale it (optimizers/optimizer.h).
double learning_rate_at(const Standing& standing, const Config& config);

}  // namespace flanmoe::train
