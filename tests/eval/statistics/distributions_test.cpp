#include "eval/statistics/distributions.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "eval/statistics/fixtures.h"
#include "support/expect_error.h"

namespace flanmoe::eval {
namespace {

double compute(const Json& one) {
  const auto function = one.at("function").get<std::string>();
  const double x = one.at("x").get<double>();
  if (function == "normal_cdf") return normal_cdf(x);
  if (function == "normal_quantile") return normal_quantile(x);
  if (function == "chi_square_tail") return chi_square_tail(x);
  const auto degrees = one.at("degrees").get<int64_t>();
  if (function == "student_t_cdf") return student_t_cdf(x, degrees);
  EXPECT_EQ(function, "student_t_quantile");
  return student_t_quantile(x, degrees);
}

TEST(Distributions, AgreeWithScipy) {
  for (const Json& one : load_cases("distributions", 1000))
    expect_close(compute(one), one.at("value").get<double>(), one);
}

TEST(Distributions, QuantilesInvertTheirFunctions) {
  for (double p = 0.001; p < 1; p += 0.013) {
    EXPECT_NEAR(normal_cdf(normal_quantile(p)), p, 1e-14);
    for (int64_t degrees : {1, 2, 9, 200})
      EXPECT_NEAR(student_t_cdf(student_t_quantile(p, degrees), degrees), p, 1e-12) << degrees;
  }
  EXPECT_EQ(normal_quantile(0), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(normal_quantile(1), std::numeric_limits<double>::infinity());
}

// Abramowitz and Stegun, table 26.10; one degree is Cauchy's distribution.
TEST(Distributions, StudentsTHasThePublishedQuantiles) {
  EXPECT_NEAR(student_t_quantile(0.975, 1), std::tan(M_PI * 0.475), 1e-9);
  EXPECT_NEAR(student_t_quantile(0.975, 2), 4.303, 5e-4);
  EXPECT_NEAR(student_t_quantile(0.975, 30), 2.042, 5e-4);
  EXPECT_NEAR(student_t_quantile(0.975, 120), 1.980, 5e-4);
  EXPECT_EQ(student_t_cdf(std::numeric_limits<double>::infinity(), 3), 1);
  EXPECT_EQ(student_t_cdf(-std::numeric_limits<double>::infinity(), 3), 0);
}

TEST(FairCoin, AgreesWithScipy) {
  for (const Json& one : load_cases("binomial"))
    expect_close(fair_coin_test(one.at("heads").get<int64_t>(), one.at("tosses").get<int64_t>()),
                 one.at("p").get<double>(), one);
}

TEST(FairCoin, OfFewTossesIsCounted) {
  EXPECT_EQ(fair_coin_test(0, 0), 1);
  EXPECT_NEAR(fair_coin_test(0, 1), 1, 1e-15);
  EXPECT_NEAR(fair_coin_test(5, 5), 2.0 / 32, 1e-15);
  EXPECT_NEAR(fair_coin_test(1, 6), 2.0 * (1 + 6) / 64, 1e-15);
  EXPECT_NEAR(fair_coin_test(1, 6), fair_coin_test(5, 6), 1e-15);
  EXPECT_EQ(fair_coin_test(3, 6), 1);
}

TEST(Distributions, RefuseWhatCannotBe) {
  const auto code = ErrorCode::InvalidArgument;
  expect_error(code, "quantile of the normal at -0.1", [] { normal_quantile(-0.1); });
  expect_error(code, "at nan", [] { normal_quantile(std::nan("")); });
  expect_error(code, "0 degrees", [] { student_t_cdf(1, 0); });
  expect_error(code, "-1 degrees", [] { student_t_quantile(0.5, -1); });
  expect_error(code, "Student's t at 1,", [] { student_t_quantile(1, 3); });
  expect_error(code, "7 heads in 6 tosses", [] { fair_coin_test(7, 6); });
  expect_error(code, "-1 heads", [] { fair_coin_test(-1, 6); });
}

}  // namespace
}  // namespace flanmoe::eval
