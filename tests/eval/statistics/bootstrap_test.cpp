#include "eval/statistics/bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/random.h"
#include "eval/statistics/fixtures.h"
#include "support/expect_error.h"

namespace flanmoe::eval {
namespace {

double mean_over(const std::vector<double>& values, const std::vector<size_t>& examples) {
  double sum = 0;
  for (size_t i : examples) sum += values[i];
  return sum / static_cast<double>(examples.size());
}

// scipy's own resampled values.
TEST(Bootstrap, IntervalsAgreeWithScipy) {
  for (const Json& one : load_cases("bootstrap")) {
    std::vector<double> data, resampled, jackknife;
    for (const Json& value : one.at("data_16")) data.push_back(value.get<double>() / 16);
    for (const Json& value : one.at("resampled_256"))
      resampled.push_back(value.get<double>() / 256);
    const double sum = std::accumulate(data.begin(), data.end(), 0.0);
    for (double value : data) jackknife.push_back((sum - value) / 15);
    const Interval percentile = percentile_interval(resampled),
                   bca = bca_interval(sum / 16, resampled, jackknife);
    expect_close(percentile.low, one.at("percentile")[0].get<double>(), one);
    expect_close(percentile.high, one.at("percentile")[1].get<double>(), one);
    expect_close(bca.low, one.at("bca")[0].get<double>(), one);
    expect_close(bca.high, one.at("bca")[1].get<double>(), one);
  }
}

TEST(Bootstrap, QuantilesLieBetweenTheNearest) {
  EXPECT_DOUBLE_EQ(quantile({1, 2, 4}, 0.5), 2);
  EXPECT_DOUBLE_EQ(quantile({1, 2, 4}, 0.75), 3);
  EXPECT_DOUBLE_EQ(quantile({1, 2, 4}, 1), 4);
  EXPECT_DOUBLE_EQ(quantile({7}, 0.3), 7);
  expect_error(ErrorCode::InvalidArgument, "no values", [] { quantile({}, 0.5); });
}

// The mean is a value over indices like any other; both kinds of interval, several sizes.
TEST(Bootstrap, AnyValueOverIndicesGetsTheIntervalOfItsDraws) {
  for (size_t size : {1u, 2u, 7u, 40u}) {
    std::vector<double> values;
    for (uint64_t i = 0; i < size; ++i)
      values.push_back(RandomKey(9, RandomPurpose::Generator).below(256, i) / 256.0);
    for (auto method : {BootstrapMethod::Percentile, BootstrapMethod::BiasCorrectedAccelerated}) {
      const Interval mean = bootstrap_mean_interval(values, 4, method, 500);
      const Interval any = bootstrap_interval(
          size, [&](const auto& examples) { return mean_over(values, examples); }, 4, method, 500);
      EXPECT_NEAR(any.low, mean.low, 1e-12) << size;
      EXPECT_NEAR(any.high, mean.high, 1e-12) << size;
    }
  }
}

TEST(Bootstrap, ValuesThatAreAllEqualKnowNoDoubt) {
  for (auto method : {BootstrapMethod::Percentile, BootstrapMethod::BiasCorrectedAccelerated}) {
    const Interval interval = bootstrap_mean_interval({0.5, 0.5, 0.5}, 1, method, 100);
    EXPECT_EQ(interval.low, 0.5);
    EXPECT_EQ(interval.high, 0.5);
  }
}

TEST(Bootstrap, IsAFunctionOfTheSeed) {
  const std::vector<double> values = {0.1, 0.5, 0.25, 0.9, 0.3};
  const auto draw = [&](uint64_t seed) { return bootstrap_mean_interval(values, seed).low; };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
}

// Means of 60 skewed values, 95 of 100 intervals are to hold theirs: 93.6 % does for the percentile
// interval, whose known defect here is that it is a little narrow; 400 trials err by 1.1 %.
TEST(Bootstrap, IntervalsHoldTheMeanAsOftenAsTheySay) {
  const RandomKey key(17, RandomPurpose::Generator);
  int num_percentile = 0, num_bca = 0;
  for (uint64_t trial = 0; trial < 400; ++trial) {
    std::vector<double> values;
    for (uint64_t i = 0; i < 60; ++i) {
      const double x = key.fold(trial).uniform(i);
      values.push_back(x * x);  // mean 1/3
    }
    const Interval percentile =
        bootstrap_mean_interval(values, trial, BootstrapMethod::Percentile, 1000);
    const Interval bca =
        bootstrap_mean_interval(values, trial, BootstrapMethod::BiasCorrectedAccelerated, 1000);
    num_percentile += percentile.low <= 1.0 / 3 && 1.0 / 3 <= percentile.high ? 1 : 0;
    num_bca += bca.low <= 1.0 / 3 && 1.0 / 3 <= bca.high ? 1 : 0;
  }
  EXPECT_NEAR(num_percentile / 400.0, 0.94, 0.033);
  EXPECT_NEAR(num_bca / 400.0, 0.94, 0.033);
}

TEST(Bootstrap, RefusesWhatCannotBe) {
  const auto code = ErrorCode::InvalidArgument;
  expect_error(code, "no examples", [] { bootstrap_mean_interval({}, 0); });
  expect_error(code, "value 1 of a bootstrap", [] {
    bootstrap_mean_interval({1, std::nan("")}, 0);
  });
  expect_error(code, "num_resamples is 0",
               [] { bootstrap_mean_interval({1}, 0, BootstrapMethod::Percentile, 0); });
  expect_error(code, "no examples", [] {
    bootstrap_interval(
        0, [](const auto&) { return 0.0; }, 0);
  });
}

}  // namespace
}  // namespace flanmoe::eval
