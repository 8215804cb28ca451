// Exact match of a generated answer with the accepted ones.
#pragma once

#include <string>

#include "data/example.h"
#include "eval/metrics/metric.h"

namespace flanmoe::eval {

// Lower case (ASCII letters), trimmed, single spaces, no full stop at the end.
std::string normalise_answer(const std::string& text);

// Whether `answer` is, both normalised, one of the example's references (`targets` where it has
// none).
bool is_exact_match(const std::string& answer, const data::Example& example);

// The share of answers that are, both normalised, a reference.
std::unique_ptr<Metric> make_exact_match();

}  // namespace flanmoe::eval
