#include "eval/metrics/matthews.h"

#include <cmath>

#include "eval/metrics/label_metric.h"

namespace flanmoe::eval {
namespace {

class Matthews : public LabelMetric {
 protected:
  double compute(const std::vector<LabelCounts>& labels) const override {
    double num_examples = 0, num_correct = 0, both = 0, answers = 0, references = 0;
    for (const LabelCounts& label : labels) {
      num_examples += label.num_answers;
      num_correct += label.num_correct;
      both += label.num_answers * label.num_references;
      answers += label.num_answers * label.num_answers;
      references += label.num_references * label.num_references;
    }
    const double square = num_examples * num_examples;
    const double product = (square - answers) * (square - references);
    return product == 0 ? 0 : (num_correct * num_examples - both) / std::sqrt(product);
  }
};

}  // namespace

std::unique_ptr<Metric> make_matthews() {
  return std::make_unique<Matthews>();
}

}  // namespace flanmoe::eval
