// Prefix language modelling on raw text, which is also how T5 is adapted to language modelling
// (Lester et al., arXiv 2104.08691): the encoder reads a prefix, the rest is the target.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "data/objectives/objective.h"

namespace flanmoe::data {

struct PrefixLmConfig {
  double noise_density = 0.5;
  template <class Visitor>
  void visit(Visitor& v) {
    v("noise_density", noise_density,
      "mean share of a piece that is the target, at most 0.5; the length of the prefix is uniform");
  }
};

// Tokens of the prefix, every number equally likely from max(1, round((1 - 2 noise_density)
// (length - 1))) to length - 1, which at density 0.5 is T5's random_prefix_noise_mask; where
// `limits` leave fewer, from those. A piece of one token has an empty prefix.
int64_t draw_prefix_length(int64_t length, const PrefixLmConfig& config,
                           const ObjectiveLimits& limits, RandomKey key);

// Pieces have limits.input_length - 1 tokens, as T5 cuts them.
std::unique_ptr<Objective> make_prefix_lm(const PrefixLmConfig& config,
                                          const ObjectiveLimits& limits);

}  // namespace flanmoe::data
