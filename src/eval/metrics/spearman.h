// Spearman's rank correlation of numbers: Pearson's of the ranks, equal numbers having the mean of
// theirs, as SciPy's spearmanr; 0 where one side is constant (SciPy: not a number).
#pragma once

#include "eval/metrics/metric.h"

namespace flanmoe::eval {

std::unique_ptr<Metric> make_spearman();

}  // namespace flanmoe::eval
