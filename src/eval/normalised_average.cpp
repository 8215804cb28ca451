#include "eval/normalised_average.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/nearest.h"
#include "eval/statistics/bootstrap.h"
#include "eval/statistics/paired_bootstrap.h"

namespace flanmoe::eval {
namespace {

// Resampled values of one suite, [resample].
struct Sampled {
  NormalisedSuite suite;
  std::vector<double> resamples;
};

double normalise(double value, double chance) {
  return 100 * (value - chance) / (1 - chance);
}

Sampled normalise_suite(const SuiteResult& result, uint64_t seed) {
  SeededScores scores;
  std::vector<const TaskResult*> tasks;
  for (const TaskResult& task : result.tasks) {
    if (task.chance >= 1)
      fail(ErrorCode::InvalidArgument, "[eval] the chance of {} in {} is {}, expected less than 1",
           task.name, result.suite, task.chance);
    scores.push_back({task.scores});
    tasks.push_back(&task);
  }
  const std::vector<double> weights = weights_in_mean(tasks);
  const ResampledTasks resampled = hierarchical_bootstrap(scores, seed ^ hash64(result.suite));
  Sampled sampled;
  sampled.suite.suite = result.suite;
  sampled.suite.num_tasks = static_cast<int64_t>(result.tasks.size());
  sampled.resamples.assign(resampled.resampled.front().size(), 0.0);
  for (size_t t = 0; t < result.tasks.size(); ++t) {
    const TaskResult& task = result.tasks[t];
    sampled.suite.value += weights[t] * normalise(task.value, task.chance);
    for (size_t r = 0; r < sampled.resamples.size(); ++r)
      sampled.resamples[r] += weights[t] * normalise(resampled.resampled[t][r], task.chance);
  }
  sampled.suite.ci95 = percentile_interval(sampled.resamples);
  for (const MissingResult& task : result.missing) sampled.suite.missing.push_back(task.task);
  return sampled;
}

}  // namespace

const std::vector<std::string>& suites_of_normalised_average() {
  static const std::vector<std::string> suites = {"mmlu:direct", "bbh:direct", "reasoning:cot",
                                                  "qa:direct"};
  return suites;
}

NormalisedAverage normalised_average(const std::vector<SuiteResult>& results, bool allows_missing,
                                     uint64_t seed) {
  const std::vector<std::string>& wanted = suites_of_normalised_average();
  if (results.empty())
    fail(ErrorCode::InvalidArgument, "[eval] the normalised average of no results; expected {}",
         fmt::join(wanted, ", "));
  std::map<std::string, const SuiteResult*> by_name;
  for (const SuiteResult& result : results) {
    if (std::find(wanted.begin(), wanted.end(), result.suite) == wanted.end())
      fail(ErrorCode::InvalidArgument,
           "[eval] '{}' is no suite of the normalised average; expected {}{}", result.suite,
           fmt::join(wanted, ", "), suggestion(result.suite, wanted));
    if (!by_name.emplace(result.suite, &result).second)
      fail(ErrorCode::InvalidArgument, "[eval] two results of '{}'", result.suite);
    if (result.model_hash != results.front().model_hash)
      fail(ErrorCode::InvalidArgument,
           "[eval] '{}' is of another model ({}) than '{}' ({}): one average is of one model",
           result.suite, result.model, results.front().suite, results.front().model);
    if (!allows_missing && !result.missing.empty())
      fail(ErrorCode::InvalidArgument,
           "[eval] the task '{}' of '{}' was not evaluated: {}; --allow-missing averages what is "
           "there",
           result.missing.front().task, result.suite, result.missing.front().reason);
  }
  NormalisedAverage average;
  average.model = results.front().model;
  std::vector<double> resamples;
  for (const std::string& name : wanted) {
    const auto found = by_name.find(name);
    if (found == by_name.end()) {
      if (!allows_missing)
        fail(ErrorCode::InvalidArgument,
             "[eval] the normalised average needs '{}' too; --allow-missing averages what is there",
             name);
      average.missing.push_back(name);
      continue;
    }
    Sampled sampled = normalise_suite(*found->second, seed);
    const double weight = 1.0 / static_cast<double>(by_name.size());
    average.value += weight * sampled.suite.value;
    resamples.resize(sampled.resamples.size(), 0.0);
    for (size_t r = 0; r < resamples.size(); ++r) resamples[r] += weight * sampled.resamples[r];
    average.suites.push_back(std::move(sampled.suite));
  }
  average.ci95 = percentile_interval(std::move(resamples));
  return average;
}

Json to_json(const NormalisedAverage& average) {
  Json suites = Json::object();
  for (const NormalisedSuite& suite : average.suites)
    suites[suite.suite] = {{"value", suite.value},
                           {"ci95", {suite.ci95.low, suite.ci95.high}},
                           {"num_tasks", suite.num_tasks},
                           {"missing", suite.missing}};
  return {{"model", average.model},
          {"normalised_average", average.value},
          {"ci95", {average.ci95.low, average.ci95.high}},
          {"suites", suites},
          {"missing", average.missing}};
}

}  // namespace flanmoe::eval
