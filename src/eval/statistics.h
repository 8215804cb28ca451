// How sure an accuracy is.
#pragma once

#include <cstdint>
#include <vector>

namespace flanmoe::eval {

struct Interval {
  double low, high;
};

// Wilson score interval of num_correct of num_examples (95 %: z = 1.959964).
Interval wilson_interval(int64_t num_correct, int64_t num_examples, double z = 1.959963984540054);

// Paired bootstrap over examples of mean(a) - mean(b), percentile interval, keyed by seed. a and b
// hold 0/1 per example, same length.
struct PairedDifference {
  double difference;
  Interval ci95;
};
PairedDifference paired_bootstrap(const std::vector<double>& a, const std::vector<double>& b,
                                  uint64_t seed, int64_t num_resamples = 10000);
// As above for the mean over tasks of the differences: examples are resampled inside each task.
PairedDifference paired_bootstrap_over_tasks(const std::vector<std::vector<double>>& a,
                                             const std::vector<std::vector<double>>& b,
                                             uint64_t seed, int64_t num_resamples = 10000);

}  // namespace flanmoe::eval
