#include "eval/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "support/expect_error.h"

namespace flanmoe::eval {
namespace {

// Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
TEST(WilsonInterval, GivesPublishedValues) {
  struct Case {
    int64_t num_correct, num_examples;
    double low, high;
  };
  for (const Case& c : {Case{81, 263, 0.2553, 0.3662}, Case{15, 148, 0.0624, 0.1605},
                        Case{0, 20, 0.0, 0.1611}, Case{1, 29, 0.0061, 0.1718}}) {
    const Interval interval = wilson_interval(c.num_correct, c.num_examples);
    EXPECT_NEAR(interval.low, c.low, 5e-5) << c.num_correct << " of " << c.num_examples;
    EXPECT_NEAR(interval.high, c.high, 5e-5) << c.num_correct << " of " << c.num_examples;
    // The mirror image.
    const Interval mirrored = wilson_interval(c.num_examples - c.num_correct, c.num_examples);
    EXPECT_NEAR(mirrored.low, 1 - interval.high, 1e-12);
    EXPECT_NEAR(mirrored.high, 1 - interval.low, 1e-12);
  }
}

TEST(WilsonInterval, StaysBetweenZeroAndOne) {
  EXPECT_EQ(wilson_interval(0, 7).low, 0.0);
  EXPECT_EQ(wilson_interval(7, 7).high, 1.0);
  EXPECT_EQ(wilson_interval(0, 0).low, 0.0);
  EXPECT_EQ(wilson_interval(0, 0).high, 1.0);
  expect_error(ErrorCode::InvalidArgument, "8 correct of 7", [] { wilson_interval(8, 7); });
  expect_error(ErrorCode::InvalidArgument, "-1 correct of 7", [] { wilson_interval(-1, 7); });
}

std::vector<double> coin_flips(size_t count, double rate, uint64_t seed) {
  std::vector<double> flips(count);
  const RandomKey key(seed, RandomPurpose::Generator);
  for (size_t i = 0; i < count; ++i) flips[i] = key.uniform(i) < rate ? 1.0 : 0.0;
  return flips;
}

TEST(PairedBootstrap, HasTheWidthOfTheNormalApproximation) {
  const auto a = coin_flips(400, 0.7, 1), b = coin_flips(400, 0.5, 2);
  double mean = 0, square = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    mean += (a[i] - b[i]) / 400;
    square += (a[i] - b[i]) * (a[i] - b[i]) / 400;
  }
  const double half_width = 1.96 * std::sqrt((square - mean * mean) / 400);
  const PairedDifference result = paired_bootstrap(a, b, 0);
  EXPECT_NEAR(result.difference, mean, 1e-12);
  EXPECT_NEAR(result.ci95.low, mean - half_width, 0.1 * half_width);
  EXPECT_NEAR(result.ci95.high, mean + half_width, 0.1 * half_width);
}

TEST(PairedBootstrap, IsAFunctionOfTheSeed) {
  const auto a = coin_flips(101, 0.6, 1), b = coin_flips(101, 0.5, 2);
  const PairedDifference first = paired_bootstrap(a, b, 7, 500),
                         again = paired_bootstrap(a, b, 7, 500),
                         other = paired_bootstrap(a, b, 8, 500);
  EXPECT_EQ(first.ci95.low, again.ci95.low);
  EXPECT_EQ(first.ci95.high, again.ci95.high);
  EXPECT_TRUE(first.ci95.low != other.ci95.low || first.ci95.high != other.ci95.high);
  const PairedDifference swapped = paired_bootstrap(b, a, 7, 500);
  EXPECT_NEAR(swapped.difference, -first.difference, 1e-12);
  EXPECT_NEAR(swapped.ci95.low, -first.ci95.high, 1e-12);
}

TEST(PairedBootstrap, KeepsPairsTogether) {
  // The same answers: no doubt at all about the difference, however uncertain either accuracy is.
  const auto a = coin_flips(50, 0.5, 3);
  const PairedDifference same = paired_bootstrap(a, a, 0);
  EXPECT_EQ(same.difference, 0.0);
  EXPECT_EQ(same.ci95.low, 0.0);
  EXPECT_EQ(same.ci95.high, 0.0);
}

TEST(PairedBootstrap, WeighsTasksEqually) {
  const std::vector<std::vector<double>> a = {coin_flips(30, 0.9, 1), coin_flips(300, 0.5, 2)},
                                         b = {coin_flips(30, 0.2, 3), coin_flips(300, 0.5, 4)};
  const double first = paired_bootstrap(a[0], b[0], 0, 10).difference,
               second = paired_bootstrap(a[1], b[1], 0, 10).difference;
  const PairedDifference result = paired_bootstrap_over_tasks(a, b, 0, 2000);
  EXPECT_NEAR(result.difference, (first + second) / 2, 1e-12);
  EXPECT_LT(result.ci95.low, result.difference);
  EXPECT_GT(result.ci95.high, result.difference);
  const PairedDifference alone = paired_bootstrap_over_tasks({a[0]}, {b[0]}, 5, 200),
                         direct = paired_bootstrap(a[0], b[0], 5, 200);
  EXPECT_EQ(alone.ci95.low, direct.ci95.low);
}

TEST(PairedBootstrap, RefusesWhatIsNotPaired) {
  expect_error(ErrorCode::InvalidArgument, "has 2 and 3", [] {
    paired_bootstrap({0, 1}, {0, 1, 1}, 0);
  });
  expect_error(ErrorCode::InvalidArgument, "has no examples", [] { paired_bootstrap({}, {}, 0); });
  expect_error(ErrorCode::InvalidArgument, "not a number", [] {
    paired_bootstrap({0, std::numeric_limits<double>::quiet_NaN()}, {0, 1}, 0);
  });
  expect_error(ErrorCode::InvalidArgument, "there are 1 and 2", [] {
    paired_bootstrap_over_tasks({{1}}, {{1}, {0}}, 0);
  });
  expect_error(ErrorCode::InvalidArgument, "num_resamples is 0",
               [] { paired_bootstrap({1}, {0}, 0, 0); });
}

}  // namespace
}  // namespace flanmoe::eval
