#include "data/objectives/prefix_lm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>

#include "base/error.h"

namespace flanmoe::data {
namespace {

RandomKey key_of(uint64_t i) {
  return RandomKey(7, RandomPurpose::SpanCorruption).fold(i);
}

std::vector<int32_t> make_piece(int64_t length) {
  std::vector<int32_t> piece(static_cast<size_t>(length));
  std::iota(piece.begin(), piece.end(), 100);
  return piece;
}

std::map<int64_t, int> count_prefixes(int64_t length, const PrefixLmConfig& config,
                                      const ObjectiveLimits& limits, uint64_t num_draws) {
  std::map<int64_t, int> counts;
  for (uint64_t i = 0; i < num_draws; ++i)
    ++counts[draw_prefix_length(length, config, limits, key_of(i))];
  return counts;
}

TEST(PrefixLm, CutsTheTextInTwo) {
  const auto objective = make_prefix_lm({}, {33, 33});
  EXPECT_EQ(objective->piece_length(), 32);
  for (uint64_t i = 0; i < 200; ++i) {
    const std::vector<int32_t> piece = make_piece(1 + static_cast<int64_t>(i % 32));
    TokenizedExample example = objective->make_example(piece, key_of(i));
    ASSERT_EQ(example.inputs.back(), 1);
    ASSERT_EQ(example.targets.back(), 1);
    std::vector<int32_t> joined(example.inputs.begin(), example.inputs.end() - 1);
    joined.insert(joined.end(), example.targets.begin(), example.targets.end() - 1);
    EXPECT_EQ(joined, piece);
    EXPECT_GE(example.targets.size(), 2u);
    EXPECT_EQ(example.inputs.size() > 1, piece.size() > 1);
    EXPECT_EQ(objective->make_example(piece, key_of(i)).inputs, example.inputs);
  }
}

// T5's random_prefix_noise_mask: uniform from 1 to length - 1.
TEST(PrefixLm, EveryPrefixIsEquallyLikely) {
  const std::map<int64_t, int> counts = count_prefixes(21, {}, {100, 100}, 20000);
  EXPECT_EQ(counts.size(), 20u);
  EXPECT_EQ(counts.begin()->first, 1);
  EXPECT_EQ(counts.rbegin()->first, 20);
  for (const auto& [length, count] : counts)
    EXPECT_NEAR(count, 1000, 6 * std::sqrt(1000)) << length;
}

TEST(PrefixLm, TheDensityIsTheMeanShareOfTheTarget) {
  for (const double density : {0.1, 0.25, 0.5}) {
    double mean = 0;
    for (const auto& [length, count] : count_prefixes(401, {density}, {1000, 1000}, 20000))
      mean += static_cast<double>(401 - length) * count / 20000 / 401;
    EXPECT_NEAR(mean, density, 0.005);
  }
}

TEST(PrefixLm, KeepsToTheLimits) {
  const std::map<int64_t, int> counts = count_prefixes(40, {}, {31, 21}, 5000);
  EXPECT_EQ(counts.begin()->first, 20);   // 20 tokens of target and </s>
  EXPECT_EQ(counts.rbegin()->first, 30);  // 30 of input and </s>
  const auto objective = make_prefix_lm({}, {41, 5});
  for (uint64_t i = 0; i < 200; ++i)
    EXPECT_LE(objective->make_example(make_piece(40), key_of(i)).targets.size(), 5u);
}

TEST(PrefixLm, RefusesWhatCannotBe) {
  EXPECT_THROW(make_prefix_lm({0.6}, {10, 10}), Error);
  EXPECT_THROW(make_prefix_lm({0.0}, {10, 10}), Error);
  EXPECT_THROW(make_prefix_lm({}, {2, 10}), Error);
  EXPECT_THROW(make_prefix_lm({}, {10, 1}), Error);
}

}  // namespace
}  // namespace flanmoe::data
