// The progress bar of a stage.
#pragma once

#include <string>

#include "base/progress.h"
#include "train/budget.h"
#include "train/metrics.h"

namespace flanmoe::train {

// "tune [####....] 120/1000 steps  4:44 left  loss 2.31  1.85 k tokens/s  142 GFLOP/s (62 %)": the
// rates are means over the last steps, the percentage is the share of the plain matmul rate.
class StageProgress {
 public:
  // An empty label is "train".
  StageProgress(const Budget& budget, const std::string& label);

  // After a step that took `seconds`. `counts` is of all steps, `of_step` of this one; `fraction`
  // is the share of the budget that is spent (Budget::fraction after the step);
  // `matmul_flops_per_s` is 0 where it is not known.
  void update(const Counts& counts, double fraction, const Counts& of_step, double seconds,
              double loss, double matmul_flops_per_s);

 private:
  int64_t num_steps_;  // of all, where they alone are the budget; otherwise 0
  Progress bar_;
  int64_t num_updates_ = 0;
  // Sums in which a step counts the less the older it is.
  double recent_tokens_ = 0, recent_flops_ = 0, recent_s_ = 0;
};

}  // namespace flanmoe::train
