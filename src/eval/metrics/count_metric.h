// Corpus metrics: a function of counts that add up over examples (matched n-grams, lengths).
#pragma once

#include <cstdint>

#include "eval/metrics/metric.h"

namespace flanmoe::eval {

using Counts = std::vector<int64_t>;

class CountMetric : public Metric {
 public:
  size_t num_examples() const override { return num_examples_; }
  double value_of(size_t example) const override;

 protected:
  explicit CountMetric(size_t num_counts) : num_counts_(num_counts) {}
  // num_counts of them for one example.
  virtual Counts count(const std::string& answer,
                       const std::vector<std::string>& references) const = 0;
  // From the counts of one example, and from sums of counts.
  virtual double example_value(const Counts& counts) const = 0;
  virtual double corpus_value(const Counts& counts) const = 0;

  void add_example(const std::string& answer, const std::vector<std::string>& references) override;
  double compute_over(const std::vector<size_t>& examples) const override;

 private:
  size_t num_counts_, num_examples_ = 0;
  Counts counts_;  // [example][count]
};

}  // namespace flanmoe::eval
