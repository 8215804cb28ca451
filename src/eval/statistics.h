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

// The value that Student's t with so many degrees of freedom (1 or more) exceeds with probability
// 0.025.
double t_quantile_975(int64_t degrees);
// Mean of values that were measured anew, with another seed each: mean +- t s / sqrt(n). One value:
// no width. Throws InvalidArgument where there are none.
struct MeanInterval {
  double mean;
  Interval ci95;
};
MeanInterval t_interval(const std::vector<double>& values);

}  // namespace flanmoe::eval
