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

double median(std::vector<double> values) {
  if (values.empty()) fail(ErrorCode::InvalidArgument, "[eval] a median of no values");
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

namespace {

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

bool are_aligned(const std::vector<std::vector<double>>& templates) {
  return std::all_of(templates.begin(), templates.end(),
                     [&](const auto& one) { return one.size() == templates[0].size(); });
}

void check_scores(const TemplateScores& scores) {
  if (scores.empty())
    fail(ErrorCode::InvalidArgument, "[eval] medians over templates need a task at least");
  for (const auto& templates : scores) {
    if (templates.empty())
      fail(ErrorCode::InvalidArgument, "[eval] a task has no templates to take the median over");
    for (const auto& correct : templates)
      if (correct.empty()) fail(ErrorCode::InvalidArgument, "[eval] a template has no examples");
  }
}

// The statistic of one resample; `key` decides what is drawn, whatever the values are.
double resample_mean_of_medians(const TemplateScores& scores, RandomKey key) {
  double mean = 0;
  for (size_t task = 0; task < scores.size(); ++task) {
    const auto& templates = scores[task];
    const bool is_aligned = are_aligned(templates);
    std::vector<double> values;
    for (size_t t = 0; t < templates.size(); ++t) {
      const RandomKey draw = is_aligned ? key.fold(task) : key.fold(task).fold(t);
      const std::vector<double>& correct = templates[t];
      double sum = 0;
      for (size_t i = 0; i < correct.size(); ++i) sum += correct[draw.below(correct.size(), i)];
      values.push_back(sum / static_cast<double>(correct.size()));
    }
    mean += median(std::move(values)) / static_cast<double>(scores.size());
  }
  return mean;
}

Interval percentile_interval(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {quantile(values, 0.025), quantile(values, 0.975)};
}

}  // namespace

double mean_of_medians(const TemplateScores& scores) {
  check_scores(scores);
  double mean = 0;
  for (const auto& templates : scores) {
    std::vector<double> values;
    for (const auto& correct : templates) values.push_back(mean_of(correct));
    mean += median(std::move(values)) / static_cast<double>(scores.size());
  }
  return mean;
}

Interval bootstrap_mean_of_medians(const TemplateScores& scores, uint64_t seed,
                                   int64_t num_resamples) {
  check_scores(scores);
  const RandomKey key(seed, RandomPurpose::Bootstrap);
  std::vector<double> values;
  for (int64_t i = 0; i < num_resamples; ++i)
    values.push_back(resample_mean_of_medians(scores, key.fold(static_cast<uint64_t>(i))));
  return percentile_interval(std::move(values));
}

PairedDifference paired_bootstrap_of_medians(const TemplateScores& a, const TemplateScores& b,
                                             uint64_t seed, int64_t num_resamples) {
  check_scores(a);
  check_scores(b);
  bool fits = a.size() == b.size();
  for (size_t task = 0; fits && task < a.size(); ++task) {
    fits = a[task].size() == b[task].size();
    for (size_t t = 0; fits && t < a[task].size(); ++t)
      fits = a[task][t].size() == b[task][t].size();
  }
  if (!fits)
    fail(ErrorCode::InvalidArgument,
         "[eval] a paired comparison of medians needs the same tasks, templates and examples on "
         "both sides");
  const RandomKey key(seed, RandomPurpose::Bootstrap);
  std::vector<double> values;
  for (int64_t i = 0; i < num_resamples; ++i) {
    const RandomKey draw = key.fold(static_cast<uint64_t>(i));
    values.push_back(resample_mean_of_medians(a, draw) - resample_mean_of_medians(b, draw));
  }
  return {mean_of_medians(a) - mean_of_medians(b), percentile_interval(std::move(values))};
}

double t_quantile_975(int64_t degrees) {
  static constexpr double kTable[] = {12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912,
                                      2.364624,  2.306004, 2.262157, 2.228139, 2.200985, 2.178813,
                                      2.160369,  2.144787, 2.131450, 2.119905, 2.109816, 2.100922,
                                      2.093024,  2.085963, 2.079614, 2.073873, 2.068658, 2.063899,
                                      2.059539,  2.055529, 2.051831, 2.048407, 2.045230, 2.042272};
  if (degrees < 1)
    fail(ErrorCode::InvalidArgument,
         "[eval] Student's t has {} degrees of freedom, expected 1 or more", degrees);
  if (degrees <= 30) return kTable[degrees - 1];
  // Cornish-Fisher expansion around the normal quantile (Abramowitz and Stegun 26.7.5)
  const double z = 1.959963984540054, n = static_cast<double>(degrees);
  return z + (std::pow(z, 3) + z) / (4 * n) +
         (5 * std::pow(z, 5) + 16 * std::pow(z, 3) + 3 * z) / (96 * n * n) +
         (3 * std::pow(z, 7) + 19 * std::pow(z, 5) + 17 * std::pow(z, 3) - 15 * z) /
             (384 * n * n * n);
}

MeanInterval t_interval(const std::vector<double>& values) {
  if (values.empty()) fail(ErrorCode::InvalidArgument, "[eval] an interval of no values");
  const double mean = mean_of(values);
  const auto count = static_cast<int64_t>(values.size());
  if (count == 1) return {mean, {mean, mean}};
  double squares = 0;
  for (double value : values) squares += (value - mean) * (value - mean);
  const double error =
      std::sqrt(squares / static_cast<double>(count - 1) / static_cast<double>(count));
  const double half_width = t_quantile_975(count - 1) * error;
  return {mean, {mean - half_width, mean + half_width}};
}

}  // namespace flanmoe::eval
