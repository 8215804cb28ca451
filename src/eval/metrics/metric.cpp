#include "eval/metrics/metric.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace flanmoe::eval {

void Metric::add(const std::string& answer, const std::vector<std::string>& references) {
  if (references.empty())
    fail(ErrorCode::InvalidArgument, "[eval] example {} has no reference to compare '{}' with",
         num_examples(), answer);
  add_example(answer, references);
}

double Metric::value_over(const std::vector<size_t>& examples) const {
  if (examples.empty())
    fail(ErrorCode::InvalidArgument, "[eval] the value over no examples is not defined");
  const size_t largest = *std::max_element(examples.begin(), examples.end());
  if (largest >= num_examples())
    fail(ErrorCode::InvalidArgument, "[eval] example {} of {}", largest, num_examples());
  return compute_over(examples);
}

double Metric::value() const {
  std::vector<size_t> all(num_examples());
  std::iota(all.begin(), all.end(), size_t{0});
  return value_over(all);
}

}  // namespace flanmoe::eval
