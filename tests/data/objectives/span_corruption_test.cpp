#include "data/objectives/span_corruption.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/error.h"
#include "base/json.h"

namespace flanmoe::data {
namespace {

const Json& golden() {
  static const Json json =
      load_json(std::string(FLANMOE_SOURCE_DIR) + "/tests/golden/span-corruption/expected.json");
  return json;
}

std::vector<bool> to_mask(const Json& values) {
  std::vector<bool> mask;
  for (const Json& value : values) mask.push_back(value.get<int>() != 0);
  return mask;
}

TEST(SpanCorruption, CountsAreThoseOfT5) {
  int num_checked = 0;
  for (const Json& entry : golden()["invariants"]) {
    const auto length = entry["length"].get<int64_t>();
    const SpanCounts counts = count_spans(length, {});
    EXPECT_EQ(counts.num_noise_tokens, entry["num_noise_tokens"].get<int64_t>()) << length;
    EXPECT_EQ(counts.num_spans, entry["num_noise_spans"].get<int64_t>()) << length;
    ++num_checked;
  }
  EXPECT_GE(num_checked, 20);
  EXPECT_THROW(count_spans(0, {}), Error);
}

TEST(SpanCorruption, LengthsFillTheInput) {
  for (const Json& entry : golden()["fit_to_inputs_length"]) {
    const CorruptionLengths lengths =
        fit_to_input_length(entry["inputs_length"].get<int64_t>(), {});
    EXPECT_EQ(lengths.raw_length, entry["raw_tokens_length"].get<int64_t>());
    EXPECT_EQ(lengths.target_length, entry["targets_length"].get<int64_t>());
  }
  EXPECT_EQ(fit_to_input_length(512, {}).raw_length, 568);
  EXPECT_EQ(fit_to_input_length(512, {}).target_length, 114);
}

TEST(SpanCorruption, GivenMasksGiveTheGoldenResult) {
  const auto first_sentinel = golden()["first_sentinel_id"].get<int32_t>();
  for (const Json& entry : golden()["exact_for_given_mask"]) {
    const auto result = apply_noise_mask(entry["tokens"].get<std::vector<int32_t>>(),
                                         to_mask(entry["noise_mask"]), first_sentinel, 100);
    EXPECT_EQ(result.inputs, entry["inputs"].get<std::vector<int32_t>>());
    EXPECT_EQ(result.targets, entry["targets"].get<std::vector<int32_t>>());
  }
}

TEST(SpanCorruption, OneTokenIsNeverNoise) {
  const auto mask = draw_noise_mask(1, {}, RandomKey(1, RandomPurpose::SpanCorruption));
  EXPECT_EQ(mask, std::vector<bool>{false});
  const auto first_sentinel = golden()["first_sentinel_id"].get<int32_t>();
  const TokenizedExample example = apply_noise_mask({100}, mask, first_sentinel, 100);
  EXPECT_EQ(example.inputs, (std::vector<int32_t>{100, 1}));
  EXPECT_EQ(example.targets, (std::vector<int32_t>{first_sentinel, 1}));
  const Json& entry = golden()["invariants"][0];
  EXPECT_EQ(entry["length"], 1);
  EXPECT_EQ(entry["inputs_length_with_eos"], example.inputs.size());
  EXPECT_EQ(entry["targets_length_with_eos"], example.targets.size());
}

TEST(SpanCorruption, PiecesFillTheRowWithinBothLimits) {
  const ObjectiveVocabulary vocabulary{.first_sentinel_id = 999, .num_sentinels = 100};
  EXPECT_EQ(make_span_corruption({}, {512, 114}, vocabulary)->piece_length(), 568);
  EXPECT_EQ(make_span_corruption({}, {512, 512}, vocabulary)->piece_length(), 568);
  for (const ObjectiveLimits& limits :
       {ObjectiveLimits{512, 60}, {64, 64}, {3, 3}, {2048, 512}, {300, 1000}})
    for (const double density : {0.15, 0.5, 0.9})
      for (const double mean : {1.0, 3.0, 64.0}) {
        const SpanCorruptionConfig config{density, mean};
        const auto objective = make_span_corruption(config, limits, vocabulary);
        const int64_t longest = objective->piece_length();
        ASSERT_GE(longest, 2);
        for (int64_t length = 1; length <= longest; ++length) {
          const TokenizedExample example = objective->make_example(
              std::vector<int32_t>(static_cast<size_t>(length), 5),
              RandomKey(static_cast<uint64_t>(length), RandomPurpose::SpanCorruption));
          ASSERT_LE(static_cast<int64_t>(example.inputs.size()), limits.input_length);
          ASSERT_LE(static_cast<int64_t>(example.targets.size()), limits.target_length);
        }
        // one token more is too much for one side, or for the sentinels
        const SpanCounts counts = count_spans(longest + 1, config);
        EXPECT_TRUE(longest + 1 - counts.num_noise_tokens + counts.num_spans + 1 >
                        limits.input_length ||
                    counts.num_noise_tokens + counts.num_spans + 1 > limits.target_length ||
                    counts.num_spans > 100)
            << longest;
      }
  EXPECT_THROW(make_span_corruption({}, {2, 10}, vocabulary), Error);
  EXPECT_THROW(make_span_corruption({}, {10, 10}, {.num_sentinels = 0}), Error);
}

TEST(SpanCorruption, DrawnMasksHaveTheCountsAndTheOrder) {
  for (int64_t length : {2, 3, 7, 20, 33, 114, 568}) {
    const SpanCounts counts = count_spans(length, {});
    for (uint64_t i = 0; i < 20; ++i) {
      const std::vector<bool> mask =
          draw_noise_mask(length, {}, RandomKey(3, RandomPurpose::SpanCorruption).fold(i));
      ASSERT_EQ(static_cast<int64_t>(mask.size()), length);
      EXPECT_FALSE(mask.front());
      EXPECT_TRUE(mask.back());
      int64_t num_noise = 0, num_spans = 0;
      for (size_t t = 0; t < mask.size(); ++t) {
        num_noise += mask[t];
        num_spans += mask[t] && !mask[t - 1];
      }
      EXPECT_EQ(num_noise, counts.num_noise_tokens);
      EXPECT_EQ(num_spans, counts.num_spans);
    }
  }
}

TEST(SpanCorruption, EveryMaskIsEquallyLikely) {
  constexpr uint64_t kDraws = 20000;
  for (const Json& entry : golden()["mask_distribution"]) {
    const auto length = entry["length"].get<int64_t>();
    const auto want = entry["probability_position_is_noise"].get<std::vector<double>>();
    std::vector<double> mean(static_cast<size_t>(length));
    std::map<std::vector<bool>, int> seen;
    for (uint64_t i = 0; i < kDraws; ++i) {
      const std::vector<bool> mask =
          draw_noise_mask(length, {}, RandomKey(11, RandomPurpose::SpanCorruption).fold(i));
      ++seen[mask];
      for (size_t t = 0; t < mask.size(); ++t) mean[t] += mask[t] ? 1.0 / kDraws : 0.0;
    }
    for (size_t t = 0; t < mean.size(); ++t)
      EXPECT_NEAR(mean[t], want[t], 5 / std::sqrt(static_cast<double>(kDraws)))
          << "length " << length << " position " << t;
    const auto num_masks = entry["num_masks"].get<uint64_t>();
    if (num_masks < 500) {
      EXPECT_EQ(seen.size(), num_masks);
      const double expected = static_cast<double>(kDraws) / static_cast<double>(num_masks);
      for (const auto& [mask, count] : seen) EXPECT_NEAR(count, expected, 6 * std::sqrt(expected));
    }
  }
}

TEST(SpanCorruption, TheSameKeyGivesTheSameMask) {
  const RandomKey key(5, RandomPurpose::SpanCorruption);
  EXPECT_EQ(draw_noise_mask(100, {}, key), draw_noise_mask(100, {}, key));
  EXPECT_NE(draw_noise_mask(100, {}, key), draw_noise_mask(100, {}, key.fold(1)));
}

TEST(SpanCorruption, HighDensitiesKeepBothKindsOfSpans) {
  SpanCorruptionConfig config;
  config.noise_density = 0.9;
  config.mean_span_length = 1.0;
  const SpanCounts counts = count_spans(20, config);
  EXPECT_EQ(counts.num_noise_tokens, 18);
  EXPECT_EQ(counts.num_spans, 2);
  EXPECT_EQ(draw_noise_mask(20, config, RandomKey(1, RandomPurpose::SpanCorruption)).size(), 20u);
}

TEST(SpanCorruption, RefusesWhatCannotBe) {
  SpanCorruptionConfig config;
  config.noise_density = 1.0;
  EXPECT_THROW(count_spans(10, config), Error);
  config = {};
  config.mean_span_length = std::nan("");
  EXPECT_THROW(count_spans(10, config), Error);
  EXPECT_THROW(apply_noise_mask({5, 6, 7, 8}, {false, true, false, true}, 99, 1), Error);
  EXPECT_THROW(apply_noise_mask({5, 6}, {false}, 99, 10), Error);
}

}  // namespace
}  // namespace flanmoe::data
