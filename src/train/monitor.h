// Which of a stage's evaluations is the best one.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/json_fwd.h"

namespace flanmoe::train {

using EvaluationValues = std::map<std::string, double>;

class Monitor {
 public:
  // `name` of the value that is compared: smaller is better where it ends in "loss", else larger.
  Monitor(std::string name, int64_t patience) : name_(std::move(name)), patience_(patience) {}

  // Takes the values after `step`; whether they are better than all before (the first are; a value
  // that is not a number never is). Throws InvalidConfig where the evaluation has no such value.
  bool add(int64_t step, const EvaluationValues& values);
  // Whether `patience` evaluations, if it is not 0, have brought nothing better.
  bool is_exhausted() const { return patience_ > 0 && num_without_better_ >= patience_; }

  int64_t last_step() const { return last_step_; }  // 0: none yet
  int64_t best_step() const { return best_step_; }
  double best_value() const { return best_value_; }
  const EvaluationValues& last_values() const { return last_values_; }
  const EvaluationValues& best_values() const { return best_values_; }

  Json to_json() const;
  void restore(const Json& saved);

 private:
  std::string name_;
  int64_t patience_;
  int64_t last_step_ = 0, best_step_ = 0, num_without_better_ = 0;
  double best_value_ = 0;
  EvaluationValues last_values_, best_values_;
};

}  // namespace flanmoe::train
