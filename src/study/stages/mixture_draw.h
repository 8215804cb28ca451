// Instruction examples from a mixture of tasks.
#pragma once

#include <string>

#include "data/mixture.h"
#include "study/stages/training.h"

namespace flanmoe::study {

struct MixtureDraw {
  std::string specs;  // JSONL files and folders, builtin:train, builtin:TASK; separated by commas
  data::MixtureConfig mixture;
  uint64_t seed = 0;
};

// Example `position` of the mixture, tokenised: a pure function of (settings, position).
Draw make_mixture_draw(const MixtureDraw& settings, const text::Tokenizer& tokenizer);

// The held-out cluster of the built-in collection is for evaluation only. Throws InvalidConfig
// naming `place`.
void check_trainable(const std::string& specs, const std::string& place);

}  // namespace flanmoe::study
