#include "data/mixture/rates.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/nearest.h"

namespace flanmoe::data {
namespace {

std::string place(const CollectionConfig& collection) {
  return collection.name.empty() ? "data.mixture" : "data.mixture " + collection.name;
}

void check(const CollectionConfig& collection, const std::set<std::string>& tasks,
           const std::set<std::string>& clusters) {
  if (collection.max_examples < 1)
    fail(ErrorCode::InvalidConfig, "[{}] max_examples is {}, expected 1 or more", place(collection),
         collection.max_examples);
  if (!(collection.temperature > 0))
    fail(ErrorCode::InvalidConfig, "[{}] temperature is {}, expected more than 0",
         place(collection), collection.temperature);
  const auto check_weights = [&](const char* key, const std::map<std::string, double>& weights,
                                 const std::set<std::string>& known) {
    for (const auto& [name, weight] : weights) {
      if (known.count(name) == 0)
        fail(ErrorCode::InvalidConfig, "[{}] {} names '{}', which is not there{}",
             place(collection), key, name, suggestion(name, {known.begin(), known.end()}));
      if (!(weight > 0) || !std::isfinite(weight))
        fail(ErrorCode::InvalidConfig, "[{}] {}.{} is {}, expected more than 0", place(collection),
             key, name, weight);
    }
  };
  check_weights("task_weights", collection.task_weights, tasks);
  check_weights("cluster_weights", collection.cluster_weights, clusters);
  if (!collection.cluster_weights.empty())
    for (const std::string& cluster : clusters)
      if (collection.cluster_weights.count(cluster) == 0)
        fail(ErrorCode::InvalidConfig,
             "[{}] cluster_weights has no weight for cluster '{}': give all of them one, or none",
             place(collection), cluster);
}

// In examples, before temperature.
double base_rate(const CollectionConfig& collection, const TaskSize& task) {
  const auto cap = static_cast<double>(collection.max_examples);
  const double size = task.size < 0 ? cap : static_cast<double>(task.size);
  const auto num_templates = static_cast<double>(std::max<int64_t>(1, task.num_templates));
  switch (collection.rate) {
    case RateRule::Examples:
      return std::min(size, cap);
    case RateRule::Templates:
      return size <= cap ? size * num_templates : std::floor(cap / num_templates) * num_templates;
    case RateRule::Equal:
      return 1;
  }
  return 1;
}

}  // namespace

std::vector<double> task_rates(const CollectionConfig& collection,
                               const std::vector<TaskSize>& tasks) {
  std::set<std::string> names, clusters;
  for (const TaskSize& task : tasks) {
    names.insert(task.name);
    clusters.insert(task.cluster);
  }
  check(collection, names, clusters);

  const auto cap = static_cast<double>(collection.max_examples);
  std::vector<double> rates;
  std::map<std::string, double> cluster_sums;
  for (const TaskSize& task : tasks) {
    const auto given = collection.task_weights.find(task.name);
    // Relative to the cap, so that a low temperature does not overflow.
    const double rate =
        given != collection.task_weights.end()
            ? given->second
            : cap * std::pow(base_rate(collection, task) / cap, 1.0 / collection.temperature);
    if (!(rate > 0) && task.size != 0)
      fail(ErrorCode::InvalidConfig, "[{}] temperature {} leaves task '{}' no rate",
           place(collection), collection.temperature, task.name);
    rates.push_back(rate);
    cluster_sums[task.cluster] += rate;
  }
  if (!collection.cluster_weights.empty())
    for (size_t i = 0; i < tasks.size(); ++i)
      rates[i] *= collection.cluster_weights.at(tasks[i].cluster) / cluster_sums[tasks[i].cluster];
  return rates;
}

std::vector<int64_t> share_out_examples(int64_t total, const std::vector<double>& rates,
                                        const std::vector<int64_t>& sizes) {
  double available = 0;
  for (const int64_t size : sizes)
    available += size < 0 ? static_cast<double>(total) : static_cast<double>(size);
  if (available < static_cast<double>(total))
    fail(ErrorCode::InvalidConfig,
         "[data.mixture] num_examples is {}, but the tasks have {} examples in all", total,
         static_cast<int64_t>(available));

  // Tasks that have less than their share give all they have, until the rest can give theirs.
  std::vector<double> wanted(rates.size(), 0);
  std::vector<bool> is_full(rates.size(), false);
  double left = static_cast<double>(total);
  for (bool has_changed = true; has_changed;) {
    has_changed = false;
    double rate_sum = 0;
    for (size_t i = 0; i < rates.size(); ++i)
      if (!is_full[i]) rate_sum += rates[i];
    const double remaining = left;
    for (size_t i = 0; i < rates.size(); ++i) {
      if (is_full[i]) continue;
      wanted[i] = remaining * rates[i] / rate_sum;
      if (sizes[i] >= 0 && wanted[i] >= static_cast<double>(sizes[i])) {
        wanted[i] = static_cast<double>(sizes[i]);
        is_full[i] = has_changed = true;
        left -= wanted[i];
      }
    }
  }
  // Rounded on the running sum: the total is kept.
  std::vector<int64_t> counts;
  double sum = 0;
  int64_t given = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    sum += wanted[i];
    int64_t count = std::max<int64_t>(0, std::llround(sum) - given);
    if (sizes[i] >= 0) count = std::min(count, sizes[i]);
    counts.push_back(count);
    given += count;
  }
  return counts;
}

}  // namespace flanmoe::data
