// Edit similarity: 1 - Levenshtein distance / the longer length, in Unicode code points, as PyPI
// rapidfuzz's Levenshtein.normalized_similarity; 1 for two empty texts. The largest over the
// references.
#pragma once

#include "eval/metrics/metric.h"

namespace flanmoe::eval {

std::unique_ptr<Metric> make_edit_similarity();

}  // namespace flanmoe::eval
