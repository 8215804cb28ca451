// T5's pretraining objective (arXiv 1910.10683), as the T5 code computes it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "data/objectives/objective.h"
#include "data/tokenized_example.h"

namespace flanmoe::data {

struct SpanCorruptionConfig {
  double noise_density = 0.15;
  double mean_span_length = 3.0;
  template <class Visitor>
  void visit(Visitor& v) {
    v("noise_density", noise_density, "share of tokens that are masked");
    v("mean_span_length", mean_span_length, "mean length of a masked span, in tokens");
  }
};

struct SpanCounts {
  int64_t num_noise_tokens;
  int64_t num_spans;
};
// Products in float32 and rounding half to even, as in T5; a length of 1 counts as 2, also as
// there.
SpanCounts count_spans(int64_t length, const SpanCorruptionConfig& config);

// true = noise. Spans alternate, non-noise first; every composition into positive lengths is
// equally likely. Of length 1: not noise.
std::vector<bool> draw_noise_mask(int64_t length, const SpanCorruptionConfig& config,
                                  RandomKey key);

// Every noise span -> one sentinel in the inputs; every non-noise span -> one sentinel in the
// targets. `first_sentinel_id` is that of <extra_id_0>, the following ones count down. Both end
// with </s>. Throws InvalidArgument where there are more spans than sentinels.
TokenizedExample apply_noise_mask(const std::vector<int32_t>& tokens, const std::vector<bool>& mask,
                                  int32_t first_sentinel_id, int64_t num_sentinels);

// Raw tokens that fill `input_length` after corruption, and the target length that goes with them
// (568 and 114 for 512).
struct CorruptionLengths {
  int64_t raw_length;
  int64_t target_length;
};
CorruptionLengths fit_to_input_length(int64_t input_length, const SpanCorruptionConfig& config);

// Pieces are as long as fit on both sides with no more spans than there are sentinels.
std::unique_ptr<Objective> make_span_corruption(const SpanCorruptionConfig& config,
                                                const ObjectiveLimits& limits,
                                                const ObjectiveVocabulary& vocabulary);

}  // namespace flanmoe::data
