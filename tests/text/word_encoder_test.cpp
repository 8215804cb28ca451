// The words of a text one by one against SentencePiece's own normalisation of the whole text.
#include "text/word_encoder.h"

#include <gtest/gtest.h>
#include <sentencepiece_processor.h>

#include <atomic>
#include <cstring>
#include <optional>
#include <thread>

#include "base/file.h"
#include "base/random.h"
#include "text/sentencepiece_log.h"
#include "text/tokenizer.h"

namespace flanmoe::text {
namespace {

using Ids = std::vector<int32_t>;

// What SentencePiece normalises, cut by Unigram over the whole text.
class WholeText {
 public:
  explicit WholeText(const std::string& model_bytes) {
    silence_sentencepiece();
    EXPECT_TRUE(processor_.LoadFromSerializedProto(model_bytes).ok());
    std::vector<Unigram::Piece> pieces;
    for (int id = 0; id < processor_.GetPieceSize(); ++id)
      if (!processor_.IsControl(id) && !processor_.IsUnknown(id) && !processor_.IsUnused(id))
        pieces.push_back({processor_.IdToPiece(id), processor_.GetScore(id), id});
    unigram_.emplace(std::move(pieces), Tokenizer::kUnkId);
  }
  std::string normalize(const std::string& text) const {
    std::vector<std::string> pieces;
    EXPECT_TRUE(processor_.Encode(text, &pieces).ok());
    std::string result;
    for (const std::string& piece : pieces) result += piece;
    return result;
  }
  Ids encode(const std::string& text) const {
    Ids ids;
    unigram_->encode(normalize(text), ids);
    return ids;
  }

 private:
  sentencepiece::SentencePieceProcessor processor_;
  std::optional<Unigram> unigram_;
};

std::string utf8(uint32_t code) {
  std::string text;
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xC0 | code >> 6);
    text += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    text += static_cast<char>(0xE0 | code >> 12);
    text += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    text += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    text += static_cast<char>(0xF0 | code >> 18);
    text += static_cast<char>(0x80 | (code >> 12 & 0x3F));
    text += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    text += static_cast<char>(0x80 | (code & 0x3F));
  }
  return text;
}

// Words, spaces of every kind, combining marks, characters of no width, ligatures, broken UTF-8.
std::string draw_text(RandomStream& random) {
  static const std::vector<std::string> parts = {" ",
                                                 "  ",
                                                 "\n",
                                                 "\r\n",
                                                 "\t",
                                                 "\v",
                                                 "\f",
                                                 "\u00a0",
                                                 "\u3000",
                                                 "\u2003",
                                                 "\u200b",
                                                 "\u200d",
                                                 "\ufeff",
                                                 "\u0301",
                                                 "\u0308",
                                                 "\u00b4",
                                                 "\u00a8",
                                                 "e\u0301",
                                                 "\ufb01",
                                                 "\u00bd",
                                                 "\u2121",
                                                 "\uff21",
                                                 "\u1112\u1161\u11ab",
                                                 "\uac00",
                                                 "\ufdfa",
                                                 "\u2581",
                                                 "\u0085",
                                                 "\u2028",
                                                 "\u00ad",
                                                 "\u0e33",
                                                 "\xE2",
                                                 "\xE2\x82",
                                                 "\xC0\xAF",
                                                 "\xED\xA0\x80",
                                                 "\xF0\x9F\x98\x80",
                                                 "\xFF",
                                                 std::string(1, '\0'),
                                                 "\x01",
                                                 "\x7f",
                                                 "captain",
                                                 "The",
                                                 "ship",
                                                 "sailed,",
                                                 "10000",
                                                 "don't",
                                                 "\u65e5\u672c\u8a9e",
                                                 "\u0645\u0631\u062d\u0628\u0627",
                                                 "..."};
  std::string text;
  for (int64_t n = random.between(0, 14); n > 0; --n) {
    switch (random.below(5)) {
      case 0:
        text += utf8(static_cast<uint32_t>(random.below(0x2FFFF)));
        break;
      case 1:
        text += static_cast<char>(random.between('a', 'z'));
        break;
      case 2:
        text += ' ';
        break;
      default:
        text += random.pick(parts);
    }
  }
  return text;
}

std::string golden_model() {
  return read_file(FLANMOE_SOURCE_DIR "/tests/golden/tokenizer/spiece.model");
}

TEST(WordEncoder, GivesWhatTheWholeTextGives) {
  const std::string bytes = golden_model();
  const WholeText whole(bytes);
  const Tokenizer tokenizer = Tokenizer::from_model_bytes(bytes);
  RandomStream random(RandomKey(5, RandomPurpose::Generator));
  size_t num_ids = 0;
  for (int i = 0; i < 30000; ++i) {
    const std::string text = draw_text(random);
    const Ids expected = whole.encode(text);
    // Twice: computed, and out of the memo.
    ASSERT_EQ(tokenizer.encode(text), expected) << ::testing::PrintToString(text);
    ASSERT_EQ(tokenizer.encode(text), expected) << ::testing::PrintToString(text);
    num_ids += expected.size();
  }
  EXPECT_GT(num_ids, 100000u);
}

TEST(WordEncoder, PiecesWithASpaceMarkInsideAreFoundToo) {
  const std::vector<Unigram::Piece> pieces = {{"▁a", -2, 3}, {"▁b", -2, 4}, {"a", -3, 5},
                                              {"b", -3, 6},  {"▁", -4, 7},  {"▁a▁b", -1, 8}};
  const auto normalizer = Normalizer::make({});
  ASSERT_TRUE(normalizer);
  const auto encode = [&](bool can_split, const std::string& text) {
    Ids ids;
    WordEncoder(*normalizer, Unigram(pieces, 2), can_split, 2).encode(text, ids);
    return ids;
  };
  EXPECT_EQ(encode(false, "a b a"), (Ids{8, 3}));
  // What a wrong claim would give; so the claim matters.
  EXPECT_EQ(encode(true, "a b a"), (Ids{3, 4, 3}));
}

TEST(WordEncoder, ARunOfUnknownCharactersIsOneIdOverWords) {
  // Without a piece for the space mark it is unknown like the rest.
  const std::vector<Unigram::Piece> pieces = {{"a", -3, 5}, {"▁b", -3, 6}};
  const auto normalizer = Normalizer::make({});
  const WordEncoder words(*normalizer, Unigram(pieces, 2), true, 2);
  for (const std::string text : {"x y z", "x y b x", "a x", "xa x ya", "x", "b x x b"}) {
    Ids ids, expected;
    words.encode(text, ids);
    words.encode_whole(text, expected);
    EXPECT_EQ(ids, expected) << text;
  }
  Ids ids = {2};  // what stands there already is another text's
  words.encode("x", ids);
  EXPECT_EQ(ids, (Ids{2, 2}));
}

TEST(WordEncoder, WithoutATableOnlySpacesAreBoundaries) {
  const auto normalizer = Normalizer::make({});
  ASSERT_TRUE(normalizer);
  EXPECT_TRUE(normalizer->is_boundary(' '));
  for (const char c : {'\n', '\t', '\r', 'a', '\0'}) EXPECT_FALSE(normalizer->is_boundary(c));
  EXPECT_EQ(normalizer->normalize("  a\n b \xFF "), "▁a\n▁b▁\xEF\xBF\xBD");
}

TEST(Normalizer, RefusesWhatItCannotDo) {
  NormalizerSpec spec;
  EXPECT_TRUE(Normalizer::make(spec));
  for (bool NormalizerSpec::*flag :
       {&NormalizerSpec::adds_dummy_prefix, &NormalizerSpec::removes_extra_whitespace,
        &NormalizerSpec::escapes_whitespace, &NormalizerSpec::has_space_as_suffix}) {
    NormalizerSpec other;
    other.*flag = !(other.*flag);
    EXPECT_FALSE(Normalizer::make(other));
  }
  for (const std::string& charsmap : {std::string("ab"), std::string("\xFF\xFF\xFF\x7Fxxxx", 8),
                                      std::string("\x03\0\0\0abc", 7)}) {
    spec.charsmap = charsmap;
    EXPECT_FALSE(Normalizer::make(spec));
  }
}

// A unit of a double array with any content must not be read past the end.
TEST(Normalizer, ATableOfNoiseIsRefusedOrUsedWithoutHarm) {
  RandomStream random(RandomKey(6, RandomPurpose::Generator));
  for (int i = 0; i < 300; ++i) {
    const auto num_units = static_cast<uint32_t>(1 + random.below(300));
    std::string charsmap(4, '\0');
    const uint32_t size = num_units * 4;
    std::memcpy(charsmap.data(), &size, 4);
    for (uint32_t n = 0; n < size + 50; ++n) charsmap += static_cast<char>(random.below(256));
    NormalizerSpec spec;
    spec.charsmap = charsmap;
    const auto normalizer = Normalizer::make(spec);
    for (int t = 0; normalizer && t < 20; ++t) (void)normalizer->normalize(draw_text(random));
  }
}

TEST(WordMemo, KeepsTheLastWordsAndTellsThemApart) {
  WordMemo memo;
  RandomStream random(RandomKey(7, RandomPurpose::Generator));
  std::vector<std::string> words;
  for (int i = 0; i < 300000; ++i) {  // more than there are slots
    std::string word(1 + random.below(WordMemo::kMaxBytes), '\0');
    for (char& c : word) c = static_cast<char>(random.below(3));
    const Ids ids(word.begin(),
                  word.begin() + std::min<std::ptrdiff_t>(std::ssize(word), WordMemo::kMaxIds));
    memo.keep(word, ids.data(), ids.size());
    Ids found;
    ASSERT_TRUE(memo.find(word, found));
    ASSERT_EQ(found, ids);
    words.push_back(std::move(word));
  }
  size_t num_found = 0;
  for (const std::string& word : words) {
    Ids found;
    if (!memo.find(word, found)) continue;
    ++num_found;
    ASSERT_TRUE(std::equal(found.begin(), found.end(), word.begin()));
  }
  EXPECT_GT(num_found, words.size() / 10);
  Ids none;
  EXPECT_FALSE(memo.find("never kept", none));
  EXPECT_FALSE(memo.find("", none));
  const Ids many(WordMemo::kMaxIds + 1, 3);
  memo.keep("many", many.data(), many.size());
  EXPECT_FALSE(memo.find("many", none));
}

TEST(WordMemo, ThreadsSeeWholeEntriesOnly) {
  WordMemo memo;
  std::atomic<size_t> num_wrong{0}, num_found{0};
  const auto work = [&](uint64_t seed) {
    RandomStream random(RandomKey(seed, RandomPurpose::Generator));
    for (int i = 0; i < 200000; ++i) {
      // A few words only, so that the same slots are written again and again.
      const auto value = static_cast<int32_t>(random.below(64));
      const std::string word = std::to_string(value);
      Ids ids(static_cast<size_t>(1 + value % 8), value);
      if (i % 2 == 0) {
        memo.keep(word, ids.data(), ids.size());
      } else {
        Ids found;
        if (!memo.find(word, found)) continue;
        ++num_found;
        num_wrong += found != ids;
      }
    }
  };
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) threads.emplace_back(work, t);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_wrong, 0u);
  EXPECT_GT(num_found, 1000u);
}

TEST(WordEncoder, ThreadsGetTheSameIds) {
  const Tokenizer tokenizer = Tokenizer::from_model_bytes(golden_model());
  const Tokenizer other = Tokenizer::from_model_bytes(golden_model());
  RandomStream random(RandomKey(8, RandomPurpose::Generator));
  std::vector<std::string> texts;
  std::vector<Ids> expected;
  for (int i = 0; i < 2000; ++i) {
    texts.push_back(draw_text(random));
    expected.push_back(other.encode(texts.back()));
  }
  std::atomic<size_t> num_wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int repeat = 0; repeat < 3; ++repeat)
        for (size_t i = 0; i < texts.size(); ++i)
          num_wrong += tokenizer.encode(texts[i]) != expected[i];
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_wrong, 0u);
}

}  // namespace
}  // namespace flanmoe::text
