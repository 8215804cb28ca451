#include "data/mixture/rates.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/random.h"
#include "support/expect_error.h"

namespace flanmoe::data {
namespace {

TEST(TaskRates, ExamplesProportionalWithACapAndTemperature) {
  CollectionConfig config;
  config.max_examples = 100;
  const std::vector<TaskSize> tasks = {{"a", "x", 1000, 0}, {"b", "x", 25, 0}, {"c", "y", -1, 0}};
  EXPECT_EQ(task_rates(config, tasks), (std::vector<double>{100, 25, 100}));
  config.temperature = 2;
  const auto rates = task_rates(config, tasks);
  EXPECT_NEAR(rates[1] / rates[0], 0.5, 1e-12);  // sqrt(25 / 100)
  config.temperature = 1e-3;                     // does not overflow
  EXPECT_TRUE(std::isfinite(task_rates(config, {tasks[0], tasks[2]})[0]));
}

// facts.md item 69: size x templates up to the limit, else limit // templates a template.
TEST(TaskRates, TemplatesCountAsTasks) {
  CollectionConfig config;
  config.rate = RateRule::Templates;
  config.max_examples = 500000;
  EXPECT_EQ(
      task_rates(config, {{"small", "", 1000, 7}, {"large", "", 600000, 7}, {"one", "", 5, 0}}),
      (std::vector<double>{7000, 500000 / 7 * 7, 5}));
}

TEST(TaskRates, ExplicitWeightsOfTasksAndClusters) {
  CollectionConfig config;
  config.task_weights = {{"a", 3}};
  config.cluster_weights = {{"x", 1}, {"y", 3}};
  const auto rates = task_rates(config, {{"a", "x", 1000, 0}, {"b", "x", 1, 0}, {"c", "y", 5, 0}});
  EXPECT_NEAR(rates[0], 0.75, 1e-12);
  EXPECT_NEAR(rates[1], 0.25, 1e-12);
  EXPECT_NEAR(rates[2], 3, 1e-12);
  config.task_weights = {{"aa", 3}};
  expect_error(ErrorCode::InvalidConfig, "did you mean 'a'", [&] {
    task_rates(config, {{"a", "x", 1, 0}, {"c", "y", 1, 0}});
  });
  config.task_weights = {{"a", 0}};
  expect_error(ErrorCode::InvalidConfig, "task_weights.a is 0", [&] {
    task_rates(config, {{"a", "x", 1, 0}, {"c", "y", 1, 0}});
  });
}

TEST(TaskRates, EqualRates) {
  CollectionConfig config;
  config.rate = RateRule::Equal;
  const auto rates = task_rates(config, {{"a", "x", 1000, 0}, {"b", "x", 2, 0}});
  EXPECT_EQ(rates[0], rates[1]);
}

TEST(ShareOutExamples, KeepsTheTotalTheSizesAndTheRates) {
  RandomStream random(RandomKey(1, RandomPurpose::Generator));
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<double> rates;
    std::vector<int64_t> sizes;
    int64_t available = 0;
    for (int i = 0; i < 1 + trial % 9; ++i) {
      rates.push_back(0.1 + random.uniform());
      sizes.push_back(random.below(5) == 0 ? -1 : random.between(1, 50));
      available += sizes.back() < 0 ? 1000 : sizes.back();
    }
    const int64_t total = random.between(1, std::min<int64_t>(available, 1000));
    const auto counts = share_out_examples(total, rates, sizes);
    EXPECT_NEAR(std::accumulate(counts.begin(), counts.end(), int64_t{0}), total, 1);
    for (size_t i = 0; i < counts.size(); ++i) {
      if (sizes[i] >= 0) EXPECT_LE(counts[i], sizes[i]);
      for (size_t j = 0; j < counts.size(); ++j)  // two that are not used up keep their proportion
        if ((sizes[i] < 0 || counts[i] < sizes[i]) && (sizes[j] < 0 || counts[j] < sizes[j]))
          EXPECT_NEAR(static_cast<double>(counts[i]) * rates[j],
                      static_cast<double>(counts[j]) * rates[i], 3);
    }
  }
  expect_error(ErrorCode::InvalidConfig, "the tasks have 3 examples", [] {
    share_out_examples(4, {1, 1}, {1, 2});
  });
}

}  // namespace
}  // namespace flanmoe::data
