// The distributions that tests and intervals ask: normal, chi-square, Student's t and the binomial
// of a fair coin.
#pragma once

#include <cstdint>

namespace flanmoe::eval {

// P(X <= x) of the standard normal.
double normal_cdf(double x);
// Its inverse: algorithm AS 241 (PPND16) of Wichura, Applied Statistics 37 (1988); about 16 digits.
// -infinity at 0, infinity at 1. Throws InvalidArgument outside 0 to 1.
double normal_quantile(double p);

// P(X > x) of chi-square with one degree of freedom; 1 below 0.
double chi_square_tail(double x);

// P(T <= t) of Student's t, by the incomplete beta function (Abramowitz and Stegun 26.7.1, 26.5.8).
// Throws InvalidArgument where there are less than 1 degrees of freedom.
double student_t_cdf(double t, int64_t degrees);
// Its inverse. Throws InvalidArgument unless 0 < p < 1, and as above.
double student_t_quantile(double p, int64_t degrees);

// Two-sided exact p-value of num_heads in num_tosses of a fair coin. Throws InvalidArgument unless
// 0 <= num_heads <= num_tosses.
double fair_coin_test(int64_t num_heads, int64_t num_tosses);

}  // namespace flanmoe::eval
