#include "train/monitor.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/json.h"
#include "support/expect_error.h"

namespace flanmoe::train {
namespace {

TEST(Monitor, SmallerLossesAndLargerOtherValuesAreBetter) {
  Monitor loss("validation_loss", 0), accuracy("accuracy", 0);
  EXPECT_TRUE(loss.add(1, {{"validation_loss", 2.0}}));
  EXPECT_TRUE(loss.add(2, {{"validation_loss", 1.5}}));
  EXPECT_FALSE(loss.add(3, {{"validation_loss", 1.5}}));
  EXPECT_FALSE(loss.add(4, {{"validation_loss", 1.9}}));
  EXPECT_EQ(loss.best_step(), 2);
  EXPECT_TRUE(accuracy.add(1, {{"accuracy", 0.0}}));
  EXPECT_TRUE(accuracy.add(2, {{"accuracy", 0.5}}));
  EXPECT_FALSE(accuracy.add(3, {{"accuracy", 0.25}}));
  EXPECT_EQ(accuracy.best_step(), 2);
  EXPECT_EQ(accuracy.last_step(), 3);
}

TEST(Monitor, PatienceCountsEvaluationsWithoutABetterOne) {
  Monitor monitor("loss", 2);
  monitor.add(10, {{"loss", 3}});
  monitor.add(20, {{"loss", 4}});
  EXPECT_FALSE(monitor.is_exhausted());
  monitor.add(30, {{"loss", 2}});
  monitor.add(40, {{"loss", 2.5}});
  EXPECT_FALSE(monitor.is_exhausted());
  monitor.add(50, {{"loss", std::numeric_limits<double>::quiet_NaN()}});
  EXPECT_TRUE(monitor.is_exhausted());
  EXPECT_EQ(monitor.best_step(), 30);
}

TEST(Monitor, GoesOnFromWhatWasSaved) {
  Monitor monitor("loss", 2);
  monitor.add(10, {{"loss", 3}, {"accuracy", 0.25}});
  monitor.add(20, {{"loss", 4}, {"accuracy", 0.5}});
  Monitor resumed("loss", 2);
  resumed.restore(parse_json(monitor.to_json().dump(), "saved"));
  EXPECT_EQ(resumed.to_json(), monitor.to_json());
  EXPECT_FALSE(resumed.add(30, {{"loss", 3.5}}));
  EXPECT_TRUE(resumed.is_exhausted());
  EXPECT_EQ(resumed.best_values().at("accuracy"), 0.25);
}

TEST(Monitor, AnUnknownValueIsNamedWithTheNearest) {
  Monitor monitor("acuracy", 0);
  EXPECT_CONTAINS(error_of(ErrorCode::InvalidConfig,
                           [&] {
                             monitor.add(1, {{"accuracy", 1}, {"loss", 1}});
                           }),
                  "did you mean 'accuracy'");
}

}  // namespace
}  // namespace flanmoe::train
