#include "eval/metrics/mean_metric.h"

#include <algorithm>

namespace flanmoe::eval {
namespace {

class MeanMetric : public Metric {
 public:
  explicit MeanMetric(Similarity similarity) : similarity_(similarity) {}
  size_t num_examples() const override { return values_.size(); }
  double value_of(size_t example) const override { return values_.at(example); }
  bool is_mean() const override { return true; }

 protected:
  void add_example(const std::string& answer, const std::vector<std::string>& references) override {
    double best = 0;
    for (const std::string& reference : references)
      best = std::max(best, similarity_(answer, reference));
    values_.push_back(best);
  }
  double compute_over(const std::vector<size_t>& examples) const override {
    double sum = 0;
    for (size_t i : examples) sum += values_[i];
    return sum / static_cast<double>(examples.size());
  }

 private:
  Similarity similarity_;
  std::vector<double> values_;
};

}  // namespace

std::unique_ptr<Metric> make_mean_metric(Similarity similarity) {
  return std::make_unique<MeanMetric>(similarity);
}

}  // namespace flanmoe::eval
