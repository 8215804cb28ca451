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

TEST(Median, IsTheMiddleOrBetweenTheTwo) {
  EXPECT_EQ(median({3, 1, 2}), 2);
  EXPECT_EQ(median({4, 1, 2, 3}), 2.5);
  EXPECT_EQ(median({7}), 7);
  expect_error(ErrorCode::InvalidArgument, "no values", [] { median({}); });
}

// One task's templates are right in 1/4, 2/4 and 4/4, the other's in 0/2 and 2/2.
const TemplateScores kScores = {{{1, 0, 0, 0}, {1, 0, 1, 0}, {1, 1, 1, 1}}, {{0, 0}, {1, 1}}};

TEST(MeanOfMedians, IsTakenOverTemplatesThenTasks) {
  EXPECT_DOUBLE_EQ(mean_of_medians(kScores), (0.5 + 0.5) / 2);
  expect_error(ErrorCode::InvalidArgument, "no templates", [] { mean_of_medians({{}}); });
  expect_error(ErrorCode::InvalidArgument, "no examples", [] { mean_of_medians({{{}}}); });
  expect_error(ErrorCode::InvalidArgument, "a task at least", [] { mean_of_medians({}); });
}

// One template of one task: the median is the mean, of which the bootstrap's error is known.
TEST(MeanOfMedians, OfOneTemplateHasTheIntervalOfItsMean) {
  std::vector<double> correct(400);
  for (size_t i = 0; i < correct.size(); ++i) correct[i] = i % 4 == 0 ? 1 : 0;
  const Interval interval = bootstrap_mean_of_medians({{correct}}, 5, 4000);
  const double error = std::sqrt(0.25 * 0.75 / 400);
  EXPECT_NEAR(interval.low, 0.25 - 1.96 * error, 0.1 * error);
  EXPECT_NEAR(interval.high, 0.25 + 1.96 * error, 0.1 * error);
}

// Templates that ask about the same examples and agree on them say no more than one of them does;
// those with other numbers of examples are drawn by themselves, and their median is steadier.
TEST(MeanOfMedians, ExamplesThatTemplatesShareAreDrawnTogether) {
  std::vector<double> correct(100);
  for (size_t i = 0; i < correct.size(); ++i) correct[i] = i % 2 == 0 ? 1 : 0;
  std::vector<double> longer = correct;
  longer.insert(longer.end(), {1, 0});
  const auto width = [](const TemplateScores& scores) {
    const Interval interval = bootstrap_mean_of_medians(scores, 5, 4000);
    return interval.high - interval.low;
  };
  const double alone = width({{correct}});
  EXPECT_DOUBLE_EQ(width({{correct, correct, correct}}), alone);
  EXPECT_LT(width({{correct, longer, correct}}), 0.8 * alone);
}

TEST(MeanOfMedians, DifferencesArePaired) {
  const PairedDifference same = paired_bootstrap_of_medians(kScores, kScores, 3);
  EXPECT_EQ(same.difference, 0);
  EXPECT_EQ(same.ci95.low, 0);
  EXPECT_EQ(same.ci95.high, 0);
  TemplateScores better = kScores;
  for (auto& correct : better[1]) correct = {1, 1};
  EXPECT_DOUBLE_EQ(paired_bootstrap_of_medians(better, kScores, 3).difference, 0.25);
  better[1].pop_back();
  expect_error(ErrorCode::InvalidArgument, "same tasks, templates",
               [&] { paired_bootstrap_of_medians(better, kScores, 3); });
}

// Abramowitz and Stegun, table 26.10.
TEST(StudentsT, HasThePublishedQuantiles) {
  EXPECT_NEAR(t_quantile_975(1), 12.706, 5e-4);
  EXPECT_NEAR(t_quantile_975(2), 4.303, 5e-4);
  EXPECT_NEAR(t_quantile_975(30), 2.042, 5e-4);
  EXPECT_NEAR(t_quantile_975(40), 2.021, 5e-4);
  EXPECT_NEAR(t_quantile_975(60), 2.000, 5e-4);
  EXPECT_NEAR(t_quantile_975(120), 1.980, 5e-4);
  for (int64_t n = 1; n < 200; ++n) EXPECT_GT(t_quantile_975(n), t_quantile_975(n + 1)) << n;
  expect_error(ErrorCode::InvalidArgument, "0 degrees", [] { t_quantile_975(0); });
}

TEST(StudentsT, IntervalOfThreeSeeds) {
  const MeanInterval interval = t_interval({0.5, 0.6, 0.7});
  EXPECT_NEAR(interval.mean, 0.6, 1e-12);
  EXPECT_NEAR(interval.ci95.high - interval.mean, 4.302653 * 0.1 / std::sqrt(3.0), 1e-6);
  EXPECT_NEAR(interval.mean - interval.ci95.low, 4.302653 * 0.1 / std::sqrt(3.0), 1e-6);
  EXPECT_EQ(t_interval({0.5}).ci95.low, 0.5);
  EXPECT_EQ(t_interval({0.5}).ci95.high, 0.5);
}

// Of normal draws, 95 of 100 intervals hold the mean.
TEST(StudentsT, IntervalsHoldTheMeanAsOftenAsTheySay) {
  const RandomKey key(11, RandomPurpose::Bootstrap);
  int held = 0;
  for (uint64_t trial = 0; trial < 4000; ++trial) {
    std::vector<double> values;
    for (uint64_t i = 0; i < 3; ++i) {
      double sum = -6;  // twelve uniform draws are nearly normal
      for (uint64_t j = 0; j < 12; ++j) sum += key.fold(trial).fold(i).uniform(j);
      values.push_back(sum);
    }
    const Interval interval = t_interval(values).ci95;
    held += interval.low <= 0 && 0 <= interval.high ? 1 : 0;
  }
  EXPECT_NEAR(held / 4000.0, 0.95, 0.012);
}

}  // namespace
}  // namespace flanmoe::eval
