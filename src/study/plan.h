// Which stages there are, in which order, and what each one's result depends on.
#pragma once

#include <string>
#include <vector>

#include "study/recipe.h"

namespace flanmoe::study {

struct PlannedStage {
  const RecipeStage* stage = nullptr;
  // Hash of kind, resolved config, keys of the stages it takes something from and content of what
  // comes from outside. Labels, and how often a checkpoint is written, are left out: they change no
  // result.
  std::string key;
  std::vector<InputRecord> inputs;
  int64_t num_earlier_trainings = 0;  // of the model it takes
};

// Checks every stage and everything outside the run that is named, then computes the keys; in an
// order in which they can be done.
std::vector<PlannedStage> make_plan(const Recipe& recipe);

}  // namespace flanmoe::study
