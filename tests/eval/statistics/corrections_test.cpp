#include "eval/statistics/corrections.h"

#include <gtest/gtest.h>

#include <cmath>

#include "eval/statistics/fixtures.h"
#include "support/expect_error.h"

namespace flanmoe::eval {
namespace {

TEST(Holm, AgreesWithStatsmodels) {
  for (const Json& one : load_cases("holm")) {
    const auto corrected = holm_correction(one.at("p").get<std::vector<double>>());
    ASSERT_EQ(corrected.size(), one.at("corrected").size());
    for (size_t i = 0; i < corrected.size(); ++i)
      expect_close(corrected[i], one.at("corrected")[i].get<double>(), one);
  }
}

// 0.01 three times, 0.03 twice is less than what came before it, 0.04 once.
TEST(Holm, StepsDown) {
  const auto corrected = holm_correction({0.04, 0.01, 0.03});
  EXPECT_DOUBLE_EQ(corrected[1], 0.03);
  EXPECT_DOUBLE_EQ(corrected[2], 0.06);
  EXPECT_DOUBLE_EQ(corrected[0], 0.06);
  EXPECT_EQ(holm_correction({0.7, 0.6}), (std::vector<double>{1, 1}));
  EXPECT_EQ(holm_correction({0.3}), (std::vector<double>{0.3}));
  EXPECT_TRUE(holm_correction({}).empty());
}

TEST(Holm, RefusesWhatIsNoProbability) {
  expect_error(ErrorCode::InvalidArgument, "a p-value is 1.5", [] { holm_correction({0.1, 1.5}); });
  expect_error(ErrorCode::InvalidArgument, "-0.1", [] { holm_correction({-0.1}); });
  expect_error(ErrorCode::InvalidArgument, "nan", [] { holm_correction({std::nan("")}); });
}

}  // namespace
}  // namespace flanmoe::eval
