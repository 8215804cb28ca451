#include "data/objectives/mixture_of_denoisers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>

#include "base/config.h"
#include "base/error.h"
#include "data/objectives/objective_config.h"

namespace flanmoe::data {
namespace {

constexpr int32_t kFirstSentinel = 32099;

// Mode tokens are numbered by their letters.
ObjectiveVocabulary make_vocabulary(int64_t num_sentinels = 100) {
  return {kFirstSentinel, num_sentinels, [](const std::string& text) -> std::vector<int32_t> {
            return {7, 1000 + static_cast<int32_t>(text[1]), 8};
          }};
}

RandomKey key_of(uint64_t i) {
  return RandomKey(7, RandomPurpose::SpanCorruption).fold(i);
}

std::vector<int32_t> make_piece(int64_t length) {
  std::vector<int32_t> piece(static_cast<size_t>(length));
  std::iota(piece.begin(), piece.end(), 2000);
  return piece;
}

bool is_sentinel(int32_t id) {
  return id > kFirstSentinel - 100 && id <= kFirstSentinel;
}

// The text back from both sides, whichever way it was masked; mode ids are left out.
std::vector<int32_t> restore(const TokenizedExample& example, size_t num_mode_ids) {
  std::map<int32_t, std::vector<int32_t>> masked;
  std::vector<int32_t> tail;
  int32_t sentinel = 0;
  for (const int32_t id : example.targets) {
    if (id == 1) break;
    if (is_sentinel(id))
      sentinel = id;
    else
      (sentinel ? masked[sentinel] : tail).push_back(id);
  }
  std::vector<int32_t> text;
  for (size_t i = num_mode_ids; i + 1 < example.inputs.size(); ++i) {
    const int32_t id = example.inputs[i];
    if (is_sentinel(id))
      text.insert(text.end(), masked[id].begin(), masked[id].end());
    else
      text.push_back(id);
  }
  text.insert(text.end(), tail.begin(), tail.end());
  return text;
}

TEST(MixtureOfDenoisers, KeepsTheTextAndTheLimits) {
  for (const ObjectiveLimits& limits : {ObjectiveLimits{512, 512}, {256, 64}, {40, 40}}) {
    const auto objective = make_mixture_of_denoisers({}, limits, make_vocabulary());
    ASSERT_GE(objective->piece_length(), 30);
    for (uint64_t i = 0; i < 2000; ++i) {
      const auto piece = make_piece(1 + static_cast<int64_t>(i * 37) % objective->piece_length());
      const TokenizedExample example = objective->make_example(piece, key_of(i));
      ASSERT_LE(static_cast<int64_t>(example.inputs.size()), limits.input_length);
      ASSERT_LE(static_cast<int64_t>(example.targets.size()), limits.target_length);
      ASSERT_EQ(restore(example, 3), piece);
      ASSERT_EQ(objective->make_example(piece, key_of(i)).targets, example.targets);
    }
  }
}

// Shares by mode: two of seven R, one S, four X; masked shares as the denoisers say.
TEST(MixtureOfDenoisers, MixesTheSevenOfUl2Equally) {
  const auto objective = make_mixture_of_denoisers({}, {512, 512}, make_vocabulary());
  std::map<char, int> counts;
  std::map<char, double> target_share;
  constexpr int kDraws = 7000;
  const auto piece = make_piece(objective->piece_length());
  for (uint64_t i = 0; i < kDraws; ++i) {
    const TokenizedExample example = objective->make_example(piece, key_of(i));
    EXPECT_EQ(example.inputs[0], 7);
    EXPECT_EQ(example.inputs[2], 8);
    const char mode = static_cast<char>(example.inputs[1] - 1000);
    ++counts[mode];
    for (const int32_t id : example.targets)
      target_share[mode] +=
          id >= 2000 && !is_sentinel(id) ? 1.0 / static_cast<double>(piece.size()) : 0;
  }
  // "[NLU]" and "[NLG]" share their first letter
  EXPECT_NEAR(counts['S'], kDraws / 7.0, 5 * std::sqrt(kDraws / 7.0));
  EXPECT_EQ(counts['S'] + counts['N'], kDraws);
  EXPECT_NEAR(target_share['S'] / counts['S'], 0.25, 0.015);
  EXPECT_NEAR(target_share['N'] / counts['N'], (3 * 0.15 + 3 * 0.5) / 6, 0.015);
}

TEST(MixtureOfDenoisers, RatesAreShares) {
  MixtureOfDenoisersConfig config;
  config.denoisers = {{.noise_density = 0.15, .mode_token = "[A]", .rate = 3},
                      {.noise_density = 0.15, .mode_token = "[C]", .rate = 0},
                      {.kind = DenoiserKind::PrefixLm, .noise_density = 0.5, .mode_token = "[B]"}};
  const auto objective = make_mixture_of_denoisers(config, {64, 64}, make_vocabulary());
  std::map<int32_t, int> counts;
  for (uint64_t i = 0; i < 8000; ++i)
    ++counts[objective->make_example(make_piece(40), key_of(i)).inputs[1] - 1000];
  EXPECT_EQ(counts['C'], 0);
  EXPECT_NEAR(counts['A'], 6000, 5 * std::sqrt(1500));
  EXPECT_EQ(counts['A'] + counts['B'], 8000);
}

TEST(MixtureOfDenoisers, ModeTokensMayBeLeftOut) {
  MixtureOfDenoisersConfig config;
  for (DenoiserConfig& denoiser : config.denoisers) denoiser.mode_token.clear();
  const auto plain = make_mixture_of_denoisers(config, {512, 512}, make_vocabulary());
  const auto piece = make_piece(100);
  EXPECT_EQ(restore(plain->make_example(piece, key_of(1)), 0), piece);
  EXPECT_GE(plain->piece_length(),
            make_mixture_of_denoisers({}, {512, 512}, make_vocabulary())->piece_length());
}

TEST(MixtureOfDenoisers, IsReadFromATable) {
  MixtureOfDenoisersConfig config;
  parse_config(parse_toml("[[denoisers]]\nkind = \"prefix-lm\"\nnoise_density = 0.5\nrate = 2.0\n"
                          "[[denoisers]]\nmean_span_length = 8.0\nmode_token = \"<extra_id_99>\"\n",
                          "test"),
               "", config);
  ASSERT_EQ(config.denoisers.size(), 2u);
  EXPECT_EQ(config.denoisers[0].kind, DenoiserKind::PrefixLm);
  EXPECT_EQ(config.denoisers[0].rate, 2);
  EXPECT_EQ(config.denoisers[1].kind, DenoiserKind::SpanCorruption);
  EXPECT_EQ(config.denoisers[1].mean_span_length, 8);
  EXPECT_EQ(config.denoisers[1].mode_token, "<extra_id_99>");
}

TEST(MixtureOfDenoisers, NamesTheDenoiserThatCannotBe) {
  const auto message = [](const std::function<void(MixtureOfDenoisersConfig&)>& change) {
    MixtureOfDenoisersConfig config;
    change(config);
    try {
      make_mixture_of_denoisers(config, {512, 512}, make_vocabulary());
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  EXPECT_NE(message([](auto& c) { c.denoisers[2].noise_density = 0.7; }).find("denoisers[2]"),
            std::string::npos);
  EXPECT_NE(message([](auto& c) { c.denoisers[4].mean_span_length = 0; }).find("denoisers[4]"),
            std::string::npos);
  EXPECT_NE(message([](auto& c) { c.denoisers[1].rate = -1; }).find("rate is -1"),
            std::string::npos);
  EXPECT_NE(message([](auto& c) { c.denoisers.clear(); }).find("at least one"), std::string::npos);
}

TEST(Objective, IsMadeByItsKind) {
  ObjectiveConfig config;
  EXPECT_EQ(make_objective(config, {512, 114}, make_vocabulary())->piece_length(), 568);
  config.kind = ObjectiveKind::PrefixLm;
  EXPECT_EQ(make_objective(config, {512, 114}, make_vocabulary())->piece_length(), 511);
  config.kind = ObjectiveKind::Ul2;
  const TokenizedExample example = make_objective(config, {512, 512}, make_vocabulary())
                                       ->make_example(make_piece(50), key_of(3));
  EXPECT_EQ(example.inputs[0], 7);
}

}  // namespace
}  // namespace flanmoe::data
