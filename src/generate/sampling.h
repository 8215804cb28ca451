// Drawing the next token.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"

namespace flanmoe::generate {

struct SamplingRule {
  double temperature = 1.0;
  int64_t top_k = 0;   // 0: all
  double top_p = 1.0;  // 1: all
};

struct Candidate {
  int64_t token_id = 0;
  double probability = 0;
};

// What may be drawn, with probabilities that sum to 1; most probable first (equal ones by id), or
// by id where nothing is left out. Of softmax(logits / temperature), of it the top_k most probable
// tokens, and of these, made to sum to 1, the fewest most probable ones whose mass is at least
// top_p ("nucleus sampling", arXiv:1904.09751). In the order of `transformers`: temperature, top_k,
// top_p. Logits are finite.
std::vector<Candidate> find_candidates(const std::vector<double>& logits, const SamplingRule& rule);

// The token that number `uniform` in [0, 1) stands for.
int64_t draw(const std::vector<Candidate>& candidates, double uniform);

}  // namespace flanmoe::generate
