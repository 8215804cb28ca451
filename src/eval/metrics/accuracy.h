// Accuracy: the share of answers that are, trimmed, a reference byte for byte.
#pragma once

#include "eval/metrics/metric.h"

namespace flanmoe::eval {

std::unique_ptr<Metric> make_accuracy();

}  // namespace flanmoe::eval
