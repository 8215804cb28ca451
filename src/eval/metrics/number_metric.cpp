#include "eval/metrics/number_metric.h"

#include <charconv>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "text/jinja/unicode.h"

namespace flanmoe::eval {
namespace {

std::optional<double> parse_number(const std::string& text) {
  std::string_view digits = text::jinja::strip(text);
  if (digits.size() > 1 && digits[0] == '+' && digits[1] != '-') digits.remove_prefix(1);
  double value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  if (error != std::errc() || stop != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

}  // namespace

void NumberMetric::add_example(const std::string& answer,
                               const std::vector<std::string>& references) {
  const std::optional<double> reference = parse_number(references.front());
  if (!reference)
    fail(ErrorCode::InvalidArgument,
         "[eval] the reference of example {} is '{}', a correlation needs a number", num_examples(),
         references.front());
  answers_.push_back(parse_number(answer).value_or(-1.0));
  references_.push_back(*reference);
}

double NumberMetric::value_of(size_t example) const {
  return answers_.at(example) == references_[example] ? 1.0 : 0.0;
}

double NumberMetric::compute_over(const std::vector<size_t>& examples) const {
  std::vector<double> answers, references;
  answers.reserve(examples.size());
  references.reserve(examples.size());
  for (size_t i : examples) {
    answers.push_back(answers_[i]);
    references.push_back(references_[i]);
  }
  return compute(answers, references);
}

}  // namespace flanmoe::eval
