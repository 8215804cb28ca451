#include "eval/statistics.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"

namespace flanmoe::eval {
namespace {

// Linear between the two nearest values; `sorted` rises.
double quantile(const std::vector<double>& sorted, double q) {
  const double place = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

std::vector<double> subtract(const std::vector<double>& a, const std::vector<double>& b,
                             size_t task) {
  if (a.size() != b.size())
    fail(ErrorCode::InvalidArgument,
         "[eval] a paired comparison needs the same examples on both sides, but task {} has {} and "
         "{}",
         task, a.size(), b.size());
  if (a.empty())
    fail(ErrorCode::InvalidArgument, "[eval] task {} of a paired comparison has no examples", task);
  std::vector<double> difference(a.size());
  for (size_t i = 0; i < a.size(); ++i) {
    difference[i] = a[i] - b[i];
    if (!std::isfinite(difference[i]))
      fail(ErrorCode::InvalidArgument,
           "[eval] example {} of task {} of a paired comparison is not a number", i, task);
  }
  return difference;
}

}  // namespace

Interval wilson_interval(int64_t num_correct, int64_t num_examples, double z) {
  if (num_correct < 0 || num_correct > num_examples)
    fail(ErrorCode::InvalidArgument, "[eval] {} correct of {} examples cannot be", num_correct,
         num_examples);
  if (num_examples == 0) return {0.0, 1.0};
  const double n = static_cast<double>(num_examples), p = static_cast<double>(num_correct) / n;
  const double denominator = 1.0 + z * z / n;
  const double centre = (p + z * z / (2.0 * n)) / denominator;
  const double half_width = z / denominator * std::sqrt(p * (1.0 - p) / n + z * z / (4.0 * n * n));
  // Exactly 0 and 1 at the ends, where rounding would leave a trace.
  return {num_correct == 0 ? 0.0 : centre - half_width,
          num_correct == num_examples ? 1.0 : centre + half_width};
}

PairedDifference paired_bootstrap(const std::vector<double>& a, const std::vector<double>& b,
                                  uint64_t seed, int64_t num_resamples) {
  return paired_bootstrap_over_tasks({a}, {b}, seed, num_resamples);
}

PairedDifference paired_bootstrap_over_tasks(const std::vector<std::vector<double>>& a,
                                             const std::vector<std::vector<double>>& b,
                                             uint64_t seed, int64_t num_resamples) {
  if (a.size() != b.size())
    fail(ErrorCode::InvalidArgument,
         "[eval] a paired comparison needs the same tasks on both sides, but there are {} and {}",
         a.size(), b.size());
  if (a.empty())
    fail(ErrorCode::InvalidArgument, "[eval] a paired comparison needs a task at least");
  if (num_resamples < 1)
    fail(ErrorCode::InvalidArgument, "[eval] num_resamples is {}, expected 1 or more",
         num_resamples);

  std::vector<std::vector<double>> differences;
  PairedDifference result{0.0, {0.0, 0.0}};
  const auto num_tasks = static_cast<double>(a.size());
  for (size_t task = 0; task < a.size(); ++task) {
    differences.push_back(subtract(a[task], b[task], task));
    double sum = 0;
    for (double value : differences.back()) sum += value;
    result.difference += sum / static_cast<double>(differences.back().size()) / num_tasks;
  }

  const RandomKey key(seed, RandomPurpose::Bootstrap);
  std::vector<double> means(static_cast<size_t>(num_resamples));
  for (size_t resample = 0; resample < means.size(); ++resample) {
    double mean = 0;
    for (size_t task = 0; task < differences.size(); ++task) {
      const std::vector<double>& difference = differences[task];
      const RandomKey draw = key.fold(resample).fold(task);
      double sum = 0;
      for (size_t i = 0; i < difference.size(); ++i)
        sum += difference[draw.below(difference.size(), i)];
      mean += sum / static_cast<double>(difference.size()) / num_tasks;
    }
    means[resample] = mean;
  }
  std::sort(means.begin(), means.end());
  result.ci95 = {quantile(means, 0.025), quantile(means, 0.975)};
  return result;
}

}  // namespace flanmoe::eval
