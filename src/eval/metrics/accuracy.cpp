#include "eval/metrics/accuracy.h"

#include "eval/metrics/mean_metric.h"
#include "text/jinja/unicode.h"

namespace flanmoe::eval {
namespace {

double is_equal(const std::string& answer, const std::string& reference) {
  return text::jinja::strip(answer) == text::jinja::strip(reference) ? 1.0 : 0.0;
}

}  // namespace

std::unique_ptr<Metric> make_accuracy() {
  return make_mean_metric(is_equal);
}

}  // namespace flanmoe::eval
