// What the model reads: exemplars, then the input.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "data/example.h"
#include "text/tokenizer.h"

namespace flanmoe::eval {

// `num_shots` different examples of `pool` in a random order, none with the same input as
// `example`. Throws InvalidArgument where the pool is too small.
std::vector<const data::Example*> draw_exemplars(const std::vector<data::Example>& pool,
                                                 const data::Example& example, int64_t num_shots,
                                                 RandomKey key);

struct Prompt {
  std::vector<int32_t> ids;           // at most input_length, with </s>
  bool is_truncated = false;          // the input did not fit by itself; its end was cut
  int64_t num_dropped_exemplars = 0;  // from the front
};

// The exemplars and then the input, composed as in training (data/prompts/few_shot.h).
Prompt make_prompt(const text::Tokenizer& tokenizer,
                   const std::vector<const data::Example*>& exemplars, const std::string& inputs,
                   int64_t input_length);

// The texts that rank classification compares: the choices, or "(A)", "(B)", ... where the target
// is the letter of the right choice.
std::vector<std::string> answer_candidates(const data::Example& example);
// answer_index or, where there is none, the choice that equals the target. Throws InvalidArgument
// where neither says which is right.
int64_t right_choice(const data::Example& example);

}  // namespace flanmoe::eval
