#include "train/monitor.h"

#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/json.h"
#include "base/nearest.h"

namespace flanmoe::train {
namespace {

// Not-a-number is written as null.
Json write_values(const EvaluationValues& values) {
  return Json(values);
}

EvaluationValues read_values(const Json& saved) {
  EvaluationValues values;
  for (const auto& [name, value] : saved.items())
    values[name] =
        value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
  return values;
}

}  // namespace

bool Monitor::add(int64_t step, const EvaluationValues& values) {
  const auto found = values.find(name_);
  if (found == values.end()) {
    std::vector<std::string> names;
    for (const auto& [name, value] : values) names.push_back(name);
    fail(ErrorCode::InvalidConfig,
         "[train] monitor is '{}', but the evaluation has no such value{}", name_,
         suggestion(name_, names));
  }
  last_step_ = step;
  last_values_ = values;
  const double value = found->second;
  const bool is_better =
      !std::isnan(value) &&
      (best_step_ == 0 || (name_.ends_with("loss") ? value < best_value_ : value > best_value_));
  num_without_better_ = is_better ? 0 : num_without_better_ + 1;
  if (is_better) {
    best_step_ = step;
    best_value_ = value;
    best_values_ = values;
  }
  return is_better;
}

Json Monitor::to_json() const {
  return {{"last_step", last_step_},
          {"best_step", best_step_},
          {"num_without_better", num_without_better_},
          {"best_value", best_value_},
          {"last_values", write_values(last_values_)},
          {"best_values", write_values(best_values_)}};
}

void Monitor::restore(const Json& saved) {
  last_step_ = saved.at("last_step");
  best_step_ = saved.at("best_step");
  num_without_better_ = saved.at("num_without_better");
  best_value_ = saved.at("best_value");
  last_values_ = read_values(saved.at("last_values"));
  best_values_ = read_values(saved.at("best_values"));
}

}  // namespace flanmoe::train
