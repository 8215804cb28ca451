// Macro F1: the mean over labels of 2 tp / (answers + references) of that label, as scikit-learn's
// f1_score(average="macro"). The labels are those that occur as answer or reference in the examples
// at hand.
#pragma once

#include "eval/metrics/metric.h"

namespace flanmoe::eval {

std::unique_ptr<Metric> make_macro_f1();

}  // namespace flanmoe::eval
