#include "train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/config.h"

namespace flanmoe::train {
namespace {

Config make_config(ScheduleKind kind, int64_t steps = 100, int64_t warmup_steps = 20) {
  Config config;
  config.steps = steps;
  config.learning_rate = 0.4;
  config.warmup_steps = warmup_steps;
  config.schedule = kind;
  return config;
}

double rate(const Config& config, int64_t step, double fraction = 0) {
  return learning_rate_at({.step = step, .fraction = fraction}, config);
}

const std::vector<ScheduleKind> kKinds = {ScheduleKind::Constant, ScheduleKind::Linear,
                                          ScheduleKind::Cosine, ScheduleKind::InverseSquareRoot,
                                          ScheduleKind::RelativeStep};

TEST(Schedule, RisesLinearlyAndStays) {
  const Config config = make_config(ScheduleKind::Constant, 0, 4);
  EXPECT_DOUBLE_EQ(rate(config, 1), 0.1);
  EXPECT_DOUBLE_EQ(rate(config, 3), 0.3);
  EXPECT_DOUBLE_EQ(rate(config, 4), 0.4);
  EXPECT_DOUBLE_EQ(rate(config, 1000), 0.4);
  EXPECT_DOUBLE_EQ(rate(make_config(ScheduleKind::Constant, 0, 0), 1), 0.4);
}

// get_linear_schedule_with_warmup and get_cosine_schedule_with_warmup of transformers, which count
// steps from 0, after the warm-up.
TEST(Schedule, DecaysOverTheStepsThatAreLeft) {
  for (const int64_t warmup : {0, 20}) {
    Config config = make_config(ScheduleKind::Linear, 100, warmup);
    for (int64_t step = warmup + 1; step <= 100; ++step) {
      const double x = static_cast<double>(step - 1 - warmup) / static_cast<double>(100 - warmup);
      config.schedule = ScheduleKind::Linear;
      EXPECT_DOUBLE_EQ(rate(config, step), 0.4 * (1 - x)) << step;
      config.schedule = ScheduleKind::Cosine;
      EXPECT_NEAR(rate(config, step), 0.4 * 0.5 * (1 + std::cos(std::acos(-1.0) * x)), 1e-15)
          << step;
    }
  }
  Config config = make_config(ScheduleKind::Linear);
  EXPECT_DOUBLE_EQ(rate(config, 61), 0.2);
  config.final_learning_rate_scale = 0.1;
  EXPECT_DOUBLE_EQ(rate(config, 21), 0.4);
  EXPECT_DOUBLE_EQ(rate(config, 61), 0.4 * 0.55);
  EXPECT_DOUBLE_EQ(rate(config, 101), 0.04);
  config.schedule = ScheduleKind::Cosine;
  EXPECT_DOUBLE_EQ(rate(config, 61), 0.4 * 0.55);
  EXPECT_NEAR(rate(config, 41), 0.4 * (0.1 + 0.9 * 0.5 * (1 + std::sqrt(0.5))), 1e-15);
}

TEST(Schedule, DecayStepsEndTheDecayBeforeTheBudget) {
  for (const ScheduleKind kind : {ScheduleKind::Linear, ScheduleKind::Cosine}) {
    Config config = make_config(kind);
    config.decay_steps = 10;
    config.final_learning_rate_scale = 0.25;
    EXPECT_DOUBLE_EQ(rate(config, 21), 0.4);
    EXPECT_DOUBLE_EQ(rate(config, 26), 0.4 * (0.25 + 0.75 / 2));
    EXPECT_GT(rate(config, 30), 0.1);
    EXPECT_DOUBLE_EQ(rate(config, 31), 0.1);
    EXPECT_DOUBLE_EQ(rate(config, 90), 0.1);
    config.steps = 0;  // whatever the budget
    config.tokens = 1000;
    EXPECT_DOUBLE_EQ(rate(config, 26, 0.9), 0.4 * (0.25 + 0.75 / 2));
  }
}

// T5's pretraining: 1 / sqrt(max(step, 10,000)).
TEST(Schedule, InverseSquareRootIsT5s) {
  Config config = make_config(ScheduleKind::InverseSquareRoot, 0, 10000);
  config.learning_rate = 0.01;
  for (const int64_t step : {10000, 10001, 40000, 1000000})
    EXPECT_NEAR(rate(config, step), 1 / std::sqrt(static_cast<double>(step)), 1e-15);
  EXPECT_DOUBLE_EQ(rate(config, 5000), 0.005);
  EXPECT_DOUBLE_EQ(rate(make_config(ScheduleKind::InverseSquareRoot, 0, 0), 16), 0.1);
}

// _get_lr of transformers' Adafactor with relative_step; without warmup_init it is mesh-tf's.
TEST(Schedule, RelativeStepIsAdafactors) {
  Config config = make_config(ScheduleKind::RelativeStep, 0, 0), warmed = config;
  config.learning_rate = warmed.learning_rate = 1e-2;
  warmed.warmup_steps = 10000;
  for (const int64_t step : {1, 2, 100, 9999, 10000, 10001, 250000}) {
    const auto t = static_cast<double>(step);
    EXPECT_NEAR(rate(config, step), std::min(1e-2, 1 / std::sqrt(t)), 1e-16) << step;
    EXPECT_NEAR(rate(warmed, step), std::min(1e-6 * t, 1 / std::sqrt(t)), 1e-16) << step;
  }
}

TEST(Schedule, RelativeStepHasItsOwnDefaultOfTheLearningRate) {
  const auto parse = [](std::initializer_list<const char*> entries) {
    ConfigNode node;
    node.kind = ConfigNode::Kind::Table;
    for (const char* entry : entries) apply_override(node, entry);
    Config config;
    parse_config(node, "train", config);
    return config.learning_rate;
  };
  EXPECT_EQ(parse({"schedule='relative-step'"}), 1e-2);
  EXPECT_EQ(parse({"schedule='relative-step'", "learning_rate=0.5"}), 0.5);
  EXPECT_EQ(parse({"schedule='cosine'"}), Config{}.learning_rate);
}

TEST(Schedule, IsContinuousAtTheEndOfTheWarmUpAndNeverRisesAfterIt) {
  for (const ScheduleKind kind : kKinds) {
    Config config = make_config(kind, 2000, 500);
    if (kind == ScheduleKind::RelativeStep) config.learning_rate = 0.01;
    double before = 0;
    for (int64_t step = 1; step <= 2000; ++step) {
      const double now = rate(config, step);
      if (step <= 500) EXPECT_GT(now, before) << to_string(kind) << " " << step;
      if (step > 500) EXPECT_LE(now, before) << to_string(kind) << " " << step;
      EXPECT_LE(std::abs(now - before), config.learning_rate / 400)
          << to_string(kind) << " " << step;
      EXPECT_GT(now, 0.0) << to_string(kind) << " " << step;
      before = now;
    }
  }
}

// A budget whose steps all cost alike gives what the same number of steps gives.
TEST(Schedule, AFractionOfAnyBudgetDecaysAsStepsDo) {
  for (const ScheduleKind kind : {ScheduleKind::Linear, ScheduleKind::Cosine}) {
    for (const int64_t warmup : {0, 1, 30}) {
      const Config steps = make_config(kind, 200, warmup);
      Config tokens = steps;
      tokens.steps = 0;
      tokens.tokens = 200 * 4096;
      for (int64_t step = 1; step <= 200; ++step)
        EXPECT_NEAR(rate(tokens, step, static_cast<double>(step - 1) / 200), rate(steps, step),
                    1e-14)
            << step;
    }
  }
}

TEST(Schedule, UnevenStepsStillDecayWithoutJumps) {
  for (const ScheduleKind kind : {ScheduleKind::Linear, ScheduleKind::Cosine}) {
    Config config = make_config(kind, 0, 40);
    config.train_flops = 1e15;
    config.final_learning_rate_scale = 0.1;
    double spent = 0, before = 0;
    for (int64_t step = 1; spent < 1; ++step) {
      const double now = rate(config, step, spent);
      if (step > 40) {
        EXPECT_LE(now, before + 1e-15) << step;
        EXPECT_GT(now, before - 0.05 * config.learning_rate) << step;
      }
      if (step == 40 || step == 41) EXPECT_DOUBLE_EQ(now, config.learning_rate);
      before = now;
      spent += 0.001 * static_cast<double>(1 + step * 7919 % 13);
    }
    EXPECT_NEAR(rate(config, 1000, 1.0), 0.1 * config.learning_rate, 1e-15);
  }
}

TEST(Schedule, SaysWhatCannotBeRight) {
  const auto message = [](ScheduleKind kind, const std::function<void(Config&)>& change) {
    Config config = make_config(kind);
    change(config);
    try {
      validate_schedule(config, "stages.tune.train");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::InvalidConfig);
      return std::string(error.what());
    }
    return std::string("fine");
  };
  for (const ScheduleKind kind : kKinds) {
    EXPECT_EQ(message(kind, [](Config&) {}), "fine");
    EXPECT_NE(message(kind, [](Config& c) { c.learning_rate = -1; })
                  .find("[stages.tune.train.learning_rate] is -1, expected"),
              std::string::npos);
    EXPECT_NE(message(kind, [](Config& c) { c.warmup_steps = -3; }).find("warmup_steps] is -3"),
              std::string::npos);
    EXPECT_NE(message(kind, [](Config& c) { c.final_learning_rate_scale = 1.5; })
                  .find("final_learning_rate_scale] is 1.5, expected 0 to 1"),
              std::string::npos);
  }
  EXPECT_NE(message(ScheduleKind::Constant, [](Config& c) { c.decay_steps = 5; })
                .find("decay_steps] is 5, expected 0: the schedule 'constant' has no decay"),
            std::string::npos);
  EXPECT_NE(message(ScheduleKind::Cosine, [](Config& c) { c.warmup_steps = 100; })
                .find("warmup_steps] is 100, expected less than steps = 100"),
            std::string::npos);
  EXPECT_EQ(message(ScheduleKind::Cosine,
                    [](Config& c) {
                      c.warmup_steps = 100;
                      c.decay_steps = 50;
                    }),
            "fine");
  EXPECT_EQ(message(ScheduleKind::Constant, [](Config& c) { c.warmup_steps = 200; }), "fine");
}

}  // namespace
}  // namespace flanmoe::train
