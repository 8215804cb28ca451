#include "eval/metrics/pearson.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "eval/metrics/number_metric.h"

namespace flanmoe::eval {
namespace {

bool is_constant(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [&](double x) { return x == values[0]; });
}

// Deviations from the mean, scaled to a largest one of 1 so that no square overflows.
std::vector<double> deviations(std::vector<double> values) {
  const double mean =
      std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  double largest = 0;
  for (double& x : values) {
    x -= mean;
    largest = std::max(largest, std::abs(x));
  }
  for (double& x : values) x /= largest;
  return values;
}

class Pearson : public NumberMetric {
 protected:
  double compute(const std::vector<double>& answers,
                 const std::vector<double>& references) const override {
    return compute_pearson(answers, references);
  }
};

}  // namespace

double compute_pearson(const std::vector<double>& a, const std::vector<double>& b) {
  if (is_constant(a) || is_constant(b)) return 0;
  const std::vector<double> x = deviations(a), y = deviations(b);
  double xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xy += x[i] * y[i];
    xx += x[i] * x[i];
    yy += y[i] * y[i];
  }
  return std::clamp(xy / std::sqrt(xx * yy), -1.0, 1.0);
}

std::unique_ptr<Metric> make_pearson() {
  return std::make_unique<Pearson>();
}

}  // namespace flanmoe::eval
