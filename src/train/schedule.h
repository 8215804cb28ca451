// The learning rate as a stage goes on.
#pragma once

#include <cstdint>
#include <string>

#include "train/config.h"

namespace flanmoe::train {

// Where a stage stands before a step.
struct Standing {
  int64_t step = 1;     // the one to be made, from 1
  double fraction = 0;  // largest share of any of its budgets that is spent, 0 to 1
};

// Of the step to be made, s; parameters' groups scale it (optimizers/optimizer.h). With w =
// warmup_steps, R = learning_rate, F = final_learning_rate_scale:
//
//   warm-up, s <= w       R s / w
//   constant              R
//   linear                R (1 - (1 - F) x), x the share of the decay that is behind, 0 to 1
//   cosine                R (F + (1 - F) (1 + cos(pi x)) / 2)
//   inverse-square-root   R sqrt(max(w, 1) / s)     (T5: R = 1 / sqrt(w))
//   relative-step         min(R min(1, s / w), 1 / sqrt(s)) in the warm-up too: mesh-tf's default
//                         with R = 1e-2; Hugging Face's warmup_init is w = 10,000
//
// x = (s - 1 - w) / decay_steps; where that is 0, the decay lasts as long as the budget: with a
// budget of steps alone x = (s - 1 - w) / (steps - w), otherwise x = (f - f_w) / (1 - f_w), where f
// is the standing's fraction and f_w, what was spent at the end of the warm-up, is f w / (s - 1):
// as if all steps had spent alike. Both are 0 in the first step after the warm-up and 1 when the
// budget is spent; no step is made at a rate of 0 unless decay_steps ends before the budget does.
double learning_rate_at(const Standing& standing, const Config& config);

// Throws InvalidConfig naming `place`.<key>.
void validate_schedule(const Config& config, const std::string& place = "train");

}  // namespace flanmoe::train
