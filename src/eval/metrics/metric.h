// How good answers are. A metric takes one example after the other and gives a value over all of
// them, or over any choice of them, which is what resampling needs.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace flanmoe::eval {

class Metric {
 public:
  virtual ~Metric() = default;

  // The next example: its answer (after extraction) and the accepted ones, one or more. Throws
  // InvalidArgument where there is none, or where the metric cannot read them (a correlation needs
  // numbers).
  virtual void add(const std::string& answer, const std::vector<std::string>& references) = 0;
  virtual size_t num_examples() const = 0;

  // 0 to 1: what example i is worth by itself. What the records keep of every example.
  virtual double value_of(size_t example) const = 0;
  // 0 to 1 (correlations and Matthews -1 to 1; BLEU and chrF: sacreBLEU's divided by 100) over the
  // examples of this list, in which one may come more than once. Throws InvalidArgument where the
  // list is empty.
  virtual double value_over(const std::vector<size_t>& examples) const = 0;
  // Whether value_over is the mean of value_of.
  virtual bool is_mean() const { return true; }

  // Over all examples.
  double value() const;
};

// By name: "accuracy", "exact_match", "f1", ... Throws InvalidArgument with the nearest name for an
// unknown one.
std::unique_ptr<Metric> make_metric(const std::string& name);
std::vector<std::string> metric_names();

}  // namespace flanmoe::eval
