// Metrics of regression: answers and references are decimal numbers.
#pragma once

#include "eval/metrics/metric.h"

namespace flanmoe::eval {

class NumberMetric : public Metric {
 public:
  size_t num_examples() const override { return answers_.size(); }
  // Whether the numbers are equal.
  double value_of(size_t example) const override;

 protected:
  virtual double compute(const std::vector<double>& answers,
                         const std::vector<double>& references) const = 0;

  // An answer that is no finite number counts as -1, as in T5's postprocessors.string_to_float; of
  // several references the first counts.
  void add_example(const std::string& answer, const std::vector<std::string>& references) override;
  double compute_over(const std::vector<size_t>& examples) const override;

 private:
  std::vector<double> answers_, references_;
};

}  // namespace flanmoe::eval
