#include "eval/metrics/count_metric.h"

#include "base/error.h"

namespace flanmoe::eval {

void CountMetric::add_example(const std::string& answer,
                              const std::vector<std::string>& references) {
  const Counts counts = count(answer, references);
  FLANMOE_ASSERT(counts.size() == num_counts_);
  counts_.insert(counts_.end(), counts.begin(), counts.end());
  ++num_examples_;
}

double CountMetric::value_of(size_t example) const {
  FLANMOE_ASSERT(example < num_examples_);
  const auto begin = counts_.begin() + static_cast<std::ptrdiff_t>(example * num_counts_);
  return example_value(Counts(begin, begin + static_cast<std::ptrdiff_t>(num_counts_)));
}

double CountMetric::compute_over(const std::vector<size_t>& examples) const {
  Counts sums(num_counts_);
  for (size_t i : examples) {
    const int64_t* counts = counts_.data() + i * num_counts_;
    for (size_t k = 0; k < num_counts_; ++k) sums[k] += counts[k];
  }
  return corpus_value(sums);
}

}  // namespace flanmoe::eval
