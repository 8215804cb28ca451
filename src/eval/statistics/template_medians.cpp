#include "eval/statistics/template_medians.h"

#include <algorithm>

#include "base/error.h"
#include "base/random.h"
#include "eval/statistics/bootstrap.h"

namespace flanmoe::eval {

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

}  // namespace flanmoe::eval
