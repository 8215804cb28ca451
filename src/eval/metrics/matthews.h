// Matthews correlation coefficient for any number of labels (Gorodkin, 2004, R_K), as
// scikit-learn's matthews_corrcoef; 0 where only one label is answered or only one is right.
#pragma once

#include "eval/metrics/metric.h"

namespace flanmoe::eval {

std::unique_ptr<Metric> make_matthews();

}  // namespace flanmoe::eval
