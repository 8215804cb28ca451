#include "data/objectives/span_corruption.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace flanmoe::data {
namespace {

constexpr int32_t kEosId = 1;

// float32 product, half to even: std::nearbyint in the default rounding mode.
int64_t round_product(int64_t count, double factor) {
  const float product = static_cast<float>(count) * static_cast<float>(factor);
  return static_cast<int64_t>(std::nearbyint(product));
}

int64_t round_quotient(int64_t count, double divisor) {
  const float quotient = static_cast<float>(count) / static_cast<float>(divisor);
  return static_cast<int64_t>(std::nearbyint(quotient));
}

void check(const SpanCorruptionConfig& config) {
  if (!(config.noise_density > 0 && config.noise_density < 1))
    fail(ErrorCode::InvalidConfig,
         "[data.span_corruption] noise_density is {}, expected between 0 and 1",
         config.noise_density);
  if (!(config.mean_span_length >= 1 && std::isfinite(config.mean_span_length)))
    fail(ErrorCode::InvalidConfig,
         "[data.span_corruption] mean_span_length is {}, expected 1 or more",
         config.mean_span_length);
}

// `total` as `num_parts` positive lengths, every way equally likely: num_parts - 1 cuts among the
// total - 1 gaps (selection sampling).
std::vector<int64_t> draw_composition(int64_t total, int64_t num_parts, RandomStream& random) {
  std::vector<int64_t> lengths;
  int64_t num_cuts = num_parts - 1, length = 1;
  for (int64_t num_gaps = total - 1; num_gaps > 0; --num_gaps) {
    if (static_cast<int64_t>(random.below(static_cast<uint64_t>(num_gaps))) < num_cuts) {
      lengths.push_back(length);
      length = 0;
      --num_cuts;
    }
    ++length;
  }
  lengths.push_back(length);
  return lengths;
}

}  // namespace

SpanCounts count_spans(int64_t length, const SpanCorruptionConfig& config) {
  check(config);
  if (length < 1)
    fail(ErrorCode::InvalidArgument,
         "[data.span_corruption] {} tokens are too few, expected 1 or more", length);
  length = std::max<int64_t>(length, 2);
  const int64_t num_noise_tokens =
      std::clamp<int64_t>(round_product(length, config.noise_density), 1, length - 1);
  // T5 leaves the upper bound out, since its settings never reach it; a high density does.
  const int64_t most_spans = std::min(num_noise_tokens, length - num_noise_tokens);
  const int64_t num_spans =
      std::clamp<int64_t>(round_quotient(num_noise_tokens, config.mean_span_length), 1, most_spans);
  return {num_noise_tokens, num_spans};
}

std::vector<bool> draw_noise_mask(int64_t length, const SpanCorruptionConfig& config,
                                  RandomKey key) {
  const SpanCounts counts = count_spans(length, config);
  if (length == 1) return {false};
  RandomStream noise_random(key.fold(0)), kept_random(key.fold(1));
  const std::vector<int64_t> noise =
      draw_composition(counts.num_noise_tokens, counts.num_spans, noise_random);
  const std::vector<int64_t> kept =
      draw_composition(length - counts.num_noise_tokens, counts.num_spans, kept_random);
  std::vector<bool> mask;
  mask.reserve(static_cast<size_t>(length));
  for (size_t i = 0; i < noise.size(); ++i) {
    mask.insert(mask.end(), static_cast<size_t>(kept[i]), false);
    mask.insert(mask.end(), static_cast<size_t>(noise[i]), true);
  }
  return mask;
}

TokenizedExample apply_noise_mask(const std::vector<int32_t>& tokens, const std::vector<bool>& mask,
                                  int32_t first_sentinel_id, int64_t num_sentinels) {
  if (tokens.size() != mask.size())
    fail(ErrorCode::ShapeMismatch, "[data.span_corruption] the mask has {} entries for {} tokens",
         mask.size(), tokens.size());
  // The tokens outside the spans that are masked, one sentinel for each masked span.
  auto replace = [&](bool masked) {
    std::vector<int32_t> result;
    int64_t num_spans = 0;
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (mask[i] != masked) {
        result.push_back(tokens[i]);
      } else if (i == 0 || mask[i - 1] != masked) {
        if (num_spans == num_sentinels)
          fail(ErrorCode::InvalidArgument,
               "[data.span_corruption] there are more than {} spans in {} tokens, and only so many "
               "sentinels",
               num_sentinels, tokens.size());
        result.push_back(first_sentinel_id - static_cast<int32_t>(num_spans++));
      }
    }
    result.push_back(kEosId);
    return result;
  };
  TokenizedExample example;
  example.inputs = replace(true);
  example.targets = replace(false);
  return example;
}

namespace {

struct CorruptedLengths {
  int64_t inputs, targets;
};

// With one sentinel a span and </s> at the end.
CorruptedLengths corrupted_lengths(int64_t raw_length, const SpanCorruptionConfig& config) {
  const SpanCounts counts = count_spans(raw_length, config);
  return {raw_length - counts.num_noise_tokens + counts.num_spans + 1,
          counts.num_noise_tokens + counts.num_spans + 1};
}

class SpanCorruption final : public Objective {
 public:
  SpanCorruption(const SpanCorruptionConfig& config, const ObjectiveLimits& limits,
                 const ObjectiveVocabulary& vocabulary)
      : config_(config),
        first_sentinel_id_(vocabulary.first_sentinel_id),
        num_sentinels_(vocabulary.num_sentinels) {
    const auto fits = [&](int64_t raw_length) {
      const CorruptedLengths lengths = corrupted_lengths(raw_length, config);
      return lengths.inputs <= limits.input_length && lengths.targets <= limits.target_length &&
             count_spans(raw_length, config).num_spans <= num_sentinels_;
    };
    if (!fits(2))
      fail(ErrorCode::InvalidConfig,
           "[data.span_corruption] input_length {} and target_length {} with {} sentinels are too "
           "few, expected 3, 3 and 1 at least",
           limits.input_length, limits.target_length, num_sentinels_);
    piece_length_ = 2;
    while (fits(piece_length_ + 1)) ++piece_length_;
  }
  int64_t piece_length() const override { return piece_length_; }
  TokenizedExample make_example(const std::vector<int32_t>& piece, RandomKey key) const override {
    return apply_noise_mask(piece,
                            draw_noise_mask(static_cast<int64_t>(piece.size()), config_, key),
                            first_sentinel_id_, num_sentinels_);
  }

 private:
  SpanCorruptionConfig config_;
  int32_t first_sentinel_id_;
  int64_t num_sentinels_;
  int64_t piece_length_ = 0;
};

}  // namespace

CorruptionLengths fit_to_input_length(int64_t input_length, const SpanCorruptionConfig& config) {
  check(config);
  if (input_length < 3)
    fail(ErrorCode::InvalidArgument,
         "[data.span_corruption] an input length of {} is too short, expected 3 or more",
         input_length);
  int64_t raw_length = 2;
  while (corrupted_lengths(raw_length + 1, config).inputs <= input_length) ++raw_length;
  return {raw_length, corrupted_lengths(raw_length, config).targets};
}

std::unique_ptr<Objective> make_span_corruption(const SpanCorruptionConfig& config,
                                                const ObjectiveLimits& limits,
                                                const ObjectiveVocabulary& vocabulary) {
  return std::make_unique<SpanCorruption>(config, limits, vocabulary);
}

}  // namespace flanmoe::data
