#include "text/unigram.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "base/random.h"

namespace flanmoe::text {
namespace {

using Ids = std::vector<int32_t>;

Ids encode(const Unigram& unigram, std::string_view text) {
  Ids ids;
  unigram.encode(text, ids);
  return ids;
}

TEST(Unigram, TakesTheSegmentationOfTheHighestScore) {
  const Unigram unigram({{"a", -1, 3}, {"b", -1, 4}, {"ab", -1.5, 5}, {"abc", -9, 6}, {"c", -3, 7}},
                        2);
  EXPECT_EQ(encode(unigram, ""), Ids{});
  EXPECT_EQ(encode(unigram, "abc"), Ids({5, 7}));
  EXPECT_EQ(encode(unigram, "ba"), Ids({4, 3}));
}

TEST(Unigram, RunOfUnknownCharactersIsOneId) {
  const Unigram unigram({{"a", -1, 3}, {"\xC3\xA9", -1, 4}}, 2);
  EXPECT_EQ(encode(unigram, "xyza\xC3\xA9\xE4\xB8\xAD\xE6\x96\x87"), Ids({2, 3, 4, 2}));
  EXPECT_EQ(encode(unigram, "\xC3"), Ids({2}));  // cut short
  EXPECT_EQ(encode(Unigram({}, 2), "abc"), Ids({2}));
}

TEST(Unigram, TieGoesToTheLongerLastPiece) {
  const Unigram unigram({{"0", -5.1f, 3}, {"00", -6.3f, 4}}, 2);
  EXPECT_EQ(encode(unigram, "000"), Ids({3, 4}));
}

TEST(Unigram, AgreesWithTryingEverything) {
  RandomStream random(RandomKey(6, RandomPurpose::Generator));
  int num_compared = 0;
  for (int round = 0; round < 300; ++round) {
    std::map<std::string, float> scores;
    for (int i = 0; i < 12; ++i) {
      std::string piece;
      for (int64_t n = random.between(1, 4); n > 0; --n)
        piece += static_cast<char>('a' + random.below(3));
      scores[piece] = -static_cast<float>(random.uniform()) * 8 - 1;
    }
    std::vector<Unigram::Piece> pieces;
    for (const auto& [piece, score] : scores)
      pieces.push_back({piece, score, static_cast<int32_t>(pieces.size()) + 3});
    std::string text;
    for (int64_t n = random.between(1, 9); n > 0; --n)
      text += static_cast<char>('a' + random.below(4));
    double worst = 0;
    for (const auto& [piece, score] : scores) worst = std::min(worst, static_cast<double>(score));
    const std::function<double(size_t)> best_from = [&](size_t begin) -> double {
      if (begin == text.size()) return 0;
      double best =
          scores.contains(text.substr(begin, 1)) ? -1e300 : worst - 10 + best_from(begin + 1);
      for (size_t size = 1; size <= text.size() - begin; ++size)
        if (const auto found = scores.find(text.substr(begin, size)); found != scores.end())
          best = std::max(best, found->second + best_from(begin + size));
      return best;
    };
    // With a character of no piece the length of a run is lost: only its score can be compared
    // where there is none.
    const Ids ids = encode(Unigram(pieces, 2), text);
    std::string joined;
    double total = 0;
    bool has_unknown = false;
    for (const int32_t id : ids) {
      if (id == 2) {
        has_unknown = true;
        continue;
      }
      joined += pieces[static_cast<size_t>(id - 3)].text;
      total += pieces[static_cast<size_t>(id - 3)].score;
    }
    if (has_unknown) continue;
    ++num_compared;
    EXPECT_EQ(joined, text);
    EXPECT_NEAR(total, best_from(0), 1e-9) << text;
  }
  EXPECT_GT(num_compared, 30);
}

}  // namespace
}  // namespace flanmoe::text
