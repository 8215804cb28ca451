// Pearson's correlation of numbers, as SciPy's pearsonr; 0 where one side is constant (SciPy: not a
// number).
#pragma once

#include <vector>

#include "eval/metrics/metric.h"

namespace flanmoe::eval {

std::unique_ptr<Metric> make_pearson();

// Of two lists of one length, 1 or more.
double compute_pearson(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace flanmoe::eval
