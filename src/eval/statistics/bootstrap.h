// Bootstrap intervals of one sample (Efron and Tibshirani, An Introduction to the Bootstrap, 1993).
// Every draw is a function of the seed, the resample and the place in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "eval/statistics/intervals.h"

namespace flanmoe::eval {

enum class BootstrapMethod {
  Percentile,               // 2.5 and 97.5 % of the resampled values
  BiasCorrectedAccelerated  // BCa, Efron (1987): shifted by the bias and the skewness they show
};

// The value below which a share q of `sorted` lies: linear between the two nearest.
double quantile(const std::vector<double>& sorted, double q);

// 95 % interval of values that were resampled.
Interval percentile_interval(std::vector<double> resampled);
// The same by BCa. `jackknife` has the value with each of the examples left out. Where no resampled
// value lies above or below the estimate there is nothing to correct by, and the percentiles stay.
Interval bca_interval(double estimate, std::vector<double> resampled,
                      const std::vector<double>& jackknife);

// 95 % interval of the mean of one value or more. Throws InvalidArgument where one is not finite.
Interval bootstrap_mean_interval(const std::vector<double>& values, uint64_t seed,
                                 BootstrapMethod method = BootstrapMethod::Percentile,
                                 int64_t num_resamples = 10000);

// 95 % interval of any value over a list of examples, in which one may come more than once; 0 to
// num_examples - 1 are drawn. The draws are those of bootstrap_mean_interval. BCa asks for
// num_examples values more.
Interval bootstrap_interval(size_t num_examples,
                            const std::function<double(const std::vector<size_t>&)>& value_over,
                            uint64_t seed, BootstrapMethod method = BootstrapMethod::Percentile,
                            int64_t num_resamples = 10000);

}  // namespace flanmoe::eval
