#include "eval/statistics/distributions.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/error.h"

namespace flanmoe::eval {
namespace {

// Lowest power first.
template <size_t N>
double polynomial(const std::array<double, N>& coefficients, double x) {
  double value = 0;
  for (size_t i = N; i > 0; --i) value = value * x + coefficients[i - 1];
  return value;
}

// AS 241: numerators and denominators for the centre, the shoulders and the tails.
constexpr std::array<double, 8> kCentreAbove = {3.3871328727963666080e0,  1.3314166789178437745e+2,
                                                1.9715909503065514427e+3, 1.3731693765509461125e+4,
                                                4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                                3.3430575583588128105e+4, 2.5090809287301226727e+3};
constexpr std::array<double, 8> kCentreBelow = {1.0,
                                                4.2313330701600911252e+1,
                                                6.8718700749205790830e+2,
                                                5.3941960214247511077e+3,
                                                2.1213794301586595867e+4,
                                                3.9307895800092710610e+4,
                                                2.8729085735721942674e+4,
                                                5.2264952788528545610e+3};
constexpr std::array<double, 8> kShoulderAbove = {
    1.42343711074968357734e0,  4.63033784615654529590e0, 5.76949722146069140550e0,
    3.64784832476320460504e0,  1.27045825245236838258e0, 2.41780725177450611770e-1,
    2.27238449892691845833e-2, 7.74545014278341407640e-4};
constexpr std::array<double, 8> kShoulderBelow = {1.0,
                                                  2.05319162663775882187e0,
                                                  1.67638483018380384940e0,
                                                  6.89767334985100004550e-1,
                                                  1.48103976427480074590e-1,
                                                  1.51986665636164571966e-2,
                                                  5.47593808499534494600e-4,
                                                  1.05075007164441684324e-9};
constexpr std::array<double, 8> kTailAbove = {6.65790464350110377720e0,  5.46378491116411436990e0,
                                              1.78482653991729133580e0,  2.96560571828504891230e-1,
                                              2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                              2.71155556874348757815e-5, 2.01033439929228813265e-7};
constexpr std::array<double, 8> kTailBelow = {1.0,
                                              5.99832206555887937690e-1,
                                              1.36929880922735805310e-1,
                                              1.48753612908506148525e-2,
                                              7.86869131145613259100e-4,
                                              1.84631831751005468180e-5,
                                              1.42151175831644588870e-7,
                                              2.04426310338993978564e-15};

// The continued fraction of the incomplete beta function, by Lentz's method.
double beta_fraction(double x, double a, double b) {
  constexpr double kTiny = 1e-300;
  const auto away_from_zero = [](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double c = 1, d = 1 / away_from_zero(1 - (a + b) * x / (a + 1)), fraction = d;
  for (int i = 1; i < 10000; ++i) {
    const double m = i;
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away_from_zero(1 + even * d);
    c = away_from_zero(1 + even / c);
    fraction *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away_from_zero(1 + odd * d);
    c = away_from_zero(1 + odd / c);
    fraction *= d * c;
    if (std::abs(d * c - 1) < std::numeric_limits<double>::epsilon()) break;
  }
  return fraction;
}

// I_x(a, b) with y = 1 - x, which is given so that a small one loses no digits.
double incomplete_beta(double x, double y, double a, double b) {
  if (x <= 0) return 0;
  if (y <= 0) return 1;
  const double front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) +
                                a * std::log(x) + b * std::log(y));
  return x < (a + 1) / (a + b + 2) ? front * beta_fraction(x, a, b) / a
                                   : 1 - front * beta_fraction(y, b, a) / b;
}

void check_degrees(int64_t degrees) {
  if (degrees < 1)
    fail(ErrorCode::InvalidArgument,
         "[eval] Student's t has {} degrees of freedom, expected 1 or more", degrees);
}

}  // namespace

double normal_cdf(double x) {
  return 0.5 * std::erfc(-x / std::numbers::sqrt2);
}

double normal_quantile(double p) {
  if (!(p >= 0 && p <= 1))
    fail(ErrorCode::InvalidArgument, "[eval] a quantile of the normal at {}, expected 0 to 1", p);
  if (p == 0) return -std::numeric_limits<double>::infinity();
  if (p == 1) return std::numeric_limits<double>::infinity();
  const double centred = p - 0.5;
  if (std::abs(centred) <= 0.425) {
    const double r = 0.180625 - centred * centred;
    return centred * polynomial(kCentreAbove, r) / polynomial(kCentreBelow, r);
  }
  const double r = std::sqrt(-std::log(std::min(p, 1 - p)));
  const double value =
      r <= 5 ? polynomial(kShoulderAbove, r - 1.6) / polynomial(kShoulderBelow, r - 1.6)
             : polynomial(kTailAbove, r - 5) / polynomial(kTailBelow, r - 5);
  return centred < 0 ? -value : value;
}

double chi_square_tail(double x) {
  return x <= 0 ? 1.0 : std::erfc(std::sqrt(x / 2));
}

double student_t_cdf(double t, int64_t degrees) {
  check_degrees(degrees);
  if (std::isinf(t)) return t > 0 ? 1 : 0;
  const auto n = static_cast<double>(degrees);
  const double x = n / (n + t * t), y = t * t / (n + t * t);
  const double tail = 0.5 * incomplete_beta(x, y, n / 2, 0.5);
  return t > 0 ? 1 - tail : tail;
}

double student_t_quantile(double p, int64_t degrees) {
  check_degrees(degrees);
  if (!(p > 0 && p < 1))
    fail(ErrorCode::InvalidArgument,
         "[eval] a quantile of Student's t at {}, expected between 0 and 1", p);
  if (p == 0.5) return 0;
  if (p > 0.5) return -student_t_quantile(1 - p, degrees);
  double low = -1, high = 0;
  while (student_t_cdf(low, degrees) > p) {
    high = low;
    low *= 2;
  }
  for (;;) {
    const double middle = (low + high) / 2;
    if (middle <= low || middle >= high) return middle;
    (student_t_cdf(middle, degrees) > p ? high : low) = middle;
  }
}

double fair_coin_test(int64_t num_heads, int64_t num_tosses) {
  if (num_heads < 0 || num_heads > num_tosses)
    fail(ErrorCode::InvalidArgument, "[eval] {} heads in {} tosses cannot be", num_heads,
         num_tosses);
  const int64_t fewer = std::min(num_heads, num_tosses - num_heads);
  if (2 * fewer == num_tosses) return 1;
  // The probability of exactly `fewer`, then of ever fewer, each from the one before.
  const auto n = static_cast<double>(num_tosses), k = static_cast<double>(fewer);
  double term = std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) -
                         n * std::numbers::ln2);
  double tail = 0;
  for (int64_t i = fewer; i >= 0 && term > tail * 1e-20; --i) {
    tail += term;
    term *= static_cast<double>(i) / static_cast<double>(num_tosses - i + 1);
  }
  return std::min(1.0, 2 * tail);
}

}  // namespace flanmoe::eval
