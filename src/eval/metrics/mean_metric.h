// Metrics that are the mean of what each example is worth: a similarity of the answer and a
// reference, the largest where there are several references.
#pragma once

#include "eval/metrics/metric.h"

namespace flanmoe::eval {

// 0 to 1.
using Similarity = double (*)(const std::string& answer, const std::string& reference);

std::unique_ptr<Metric> make_mean_metric(Similarity similarity);

}  // namespace flanmoe::eval
