#include "train/budget.h"

#include <gtest/gtest.h>

namespace flanmoe::train {
namespace {

Counts counts_at(int64_t step) {
  return {.step = step,
          .num_input_tokens = 30 * step,
          .num_target_tokens = 10 * step,
          .train_flops = 1e6 * static_cast<double>(step)};
}

TEST(Budget, IsAThousandStepsWhereNoneIsGiven) {
  const Budget budget{Config{}};
  EXPECT_EQ(budget.describe(), "1000 steps");
  EXPECT_FALSE(budget.spent(counts_at(999), 1e9).has_value());
  EXPECT_EQ(budget.spent(counts_at(1000), 0), EndedBy::Steps);
}

TEST(Budget, EveryKindEndsAtTheFirstStepThatReachesIt) {
  struct Case {
    Config config;
    EndedBy expected;
  };
  std::vector<Case> cases(3);
  cases[0] = {{}, EndedBy::Steps};
  cases[0].config.steps = 7;
  cases[1] = {{}, EndedBy::Tokens};
  cases[1].config.tokens = 7 * 40 - 39;
  cases[2] = {{}, EndedBy::TrainFlops};
  cases[2].config.train_flops = 6.5e6;
  for (const auto& [config, expected] : cases) {
    const Budget budget(config);
    EXPECT_FALSE(budget.spent(counts_at(6), 1e9).has_value()) << to_string(expected);
    EXPECT_EQ(budget.spent(counts_at(7), 0), expected);
    EXPECT_LT(budget.fraction(counts_at(6), 1e9), 1);
    EXPECT_DOUBLE_EQ(budget.fraction(counts_at(7), 0), 1);
  }
  Config timed;
  timed.wall_s = 10;
  EXPECT_FALSE(Budget(timed).spent(counts_at(1 << 20), 9.99).has_value());
  EXPECT_EQ(Budget(timed).spent(counts_at(1), 10), EndedBy::WallS);
  EXPECT_DOUBLE_EQ(Budget(timed).fraction(counts_at(1 << 20), 2.5), 0.25);
}

TEST(Budget, TheFirstOneSpentEndsTheStage) {
  Config config;
  config.steps = 10;
  config.tokens = 200;  // five steps
  config.wall_s = 60;
  const Budget budget(config);
  EXPECT_EQ(budget.describe(), "10 steps or 200 tokens or 60 s");
  EXPECT_DOUBLE_EQ(budget.fraction(counts_at(4), 6), 0.8);
  EXPECT_FALSE(budget.spent(counts_at(4), 6).has_value());
  EXPECT_EQ(budget.spent(counts_at(5), 6), EndedBy::Tokens);
  EXPECT_EQ(budget.spent(counts_at(2), 60), EndedBy::WallS);
  EXPECT_EQ(budget.describe(counts_at(4), 6), "4 of 10 (160 of 200 tokens, 6 of 60 s)");
}

TEST(Budget, AFractionRisesFromNothingToOne) {
  Config config;
  config.steps = 8;
  const Budget budget(config);
  for (int64_t step = 0; step <= 8; ++step)
    EXPECT_DOUBLE_EQ(budget.fraction(counts_at(step), 0), static_cast<double>(step) / 8);
  EXPECT_DOUBLE_EQ(budget.fraction(counts_at(20), 0), 1);
}

}  // namespace
}  // namespace flanmoe::train
