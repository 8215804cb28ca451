#include "eval/statistics/corrections.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace flanmoe::eval {

std::vector<double> holm_correction(const std::vector<double>& p_values) {
  for (double p : p_values)
    if (!(p >= 0 && p <= 1))
      fail(ErrorCode::InvalidArgument, "[eval] a p-value is {}, expected 0 to 1", p);
  std::vector<size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t i, size_t j) { return p_values[i] < p_values[j]; });
  std::vector<double> corrected(p_values.size());
  double largest = 0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    largest = std::max(largest, p_values[order[rank]] * static_cast<double>(order.size() - rank));
    corrected[order[rank]] = std::min(1.0, largest);
  }
  return corrected;
}

}  // namespace flanmoe::eval
