// Medians over the templates of a task, as P3 is scored (Sanh et al. 2022).
#pragma once

#include <cstdint>
#include <vector>

#include "eval/statistics/intervals.h"
#include "eval/statistics/paired_bootstrap.h"

namespace flanmoe::eval {

// The middle one, or the mean of the two in the middle. Throws InvalidArgument where there are
// none.
double median(std::vector<double> values);

// [task][template][example], 0 or 1: the median over templates of their accuracy, then the mean
// over tasks. The interval is a percentile bootstrap over the examples of every task. Where all
// templates of a task have as many examples they are taken to ask about the same ones in the same
// order, which are drawn together; else every template's are drawn by themselves.
using TemplateScores = std::vector<std::vector<std::vector<double>>>;
double mean_of_medians(const TemplateScores& scores);
Interval bootstrap_mean_of_medians(const TemplateScores& scores, uint64_t seed,
                                   int64_t num_resamples = 2000);
// Of mean_of_medians(a) - mean_of_medians(b), with the same draws on both sides. Throws
// InvalidArgument where tasks, templates or examples differ in number.
PairedDifference paired_bootstrap_of_medians(const TemplateScores& a, const TemplateScores& b,
                                             uint64_t seed, int64_t num_resamples = 2000);

}  // namespace flanmoe::eval
