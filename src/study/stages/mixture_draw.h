// Instruction examples from a mixture of tasks.
#pragma once

#include <string>

#include "data/mixture/mixture.h"
#include "study/stages/training.h"

namespace flanmoe::study {

struct MixtureDraw {
  std::string specs;  // mixture files, JSONL files and folders, builtin:NAME; separated by commas
  data::MixtureConfig mixture;
  uint64_t seed = 0;
};

// Example `position` of the mixture, tokenised: a pure function of (settings, position). Exemplars
// that do not fit are dropped from the front.
Draw make_mixture_draw(const MixtureDraw& settings, const text::Tokenizer& tokenizer);

}  // namespace flanmoe::study
