#include "eval/statistics/template_medians.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/expect_error.h"

namespace flanmoe::eval {
namespace {

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

}  // namespace
}  // namespace flanmoe::eval
