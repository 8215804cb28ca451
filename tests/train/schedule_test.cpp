#include <gtest/gtest.h>

#include "train/schedule.h"

namespace flanmoe::train {
namespace {

TEST(Schedule, RisesLinearlyAndStays) {
  Config config;
  config.learning_rate = 0.4;
  config.warmup_steps = 4;
  EXPECT_DOUBLE_EQ(learning_rate_at({.step = 1}, config), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate_at({.step = 3}, config), 0.3);
  EXPECT_DOUBLE_EQ(learning_rate_at({.step = 4}, config), 0.4);
  EXPECT_DOUBLE_EQ(learning_rate_at({.step = 1000}, config), 0.4);
}

TEST(Schedule, WithoutWarmUpIsConstant) {
  Config config;
  config.learning_rate = 0.4;
  EXPECT_DOUBLE_EQ(learning_rate_at({.step = 1}, config), 0.4);
}

}  // namespace
}  // namespace flanmoe::train
