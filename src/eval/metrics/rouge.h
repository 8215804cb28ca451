// ROUGE (Lin, 2004) as PyPI rouge-score computes it without stemming: F-measures of tokens of
// [a-z0-9] in lower case, the largest over the references.
#pragma once

#include "eval/metrics/metric.h"

namespace flanmoe::eval {

// Unigrams, bigrams.
std::unique_ptr<Metric> make_rouge1();
std::unique_ptr<Metric> make_rouge2();
// The longest common subsequence of the whole texts.
std::unique_ptr<Metric> make_rouge_l();

}  // namespace flanmoe::eval
