#include "eval/metrics/spearman.h"

#include <algorithm>
#include <numeric>

#include "eval/metrics/number_metric.h"
#include "eval/metrics/pearson.h"

namespace flanmoe::eval {
namespace {

std::vector<double> average_ranks(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin + 1;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (size_t i = begin; i < end; ++i)
      ranks[order[i]] = static_cast<double>(begin + end + 1) / 2;  // counted from 1
    begin = end;
  }
  return ranks;
}

class Spearman : public NumberMetric {
 protected:
  double compute(const std::vector<double>& answers,
                 const std::vector<double>& references) const override {
    return compute_pearson(average_ranks(answers), average_ranks(references));
  }
};

}  // namespace

std::unique_ptr<Metric> make_spearman() {
  return std::make_unique<Spearman>();
}

}  // namespace flanmoe::eval
