#include "data/contamination.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "support/expect_error.h"

namespace flanmoe::data {
namespace {

using Words = std::vector<std::string>;

TEST(WordsOf, LowerCaseWithoutPunctuation) {
  EXPECT_EQ(words_of("The cat -- \"sat\", on\n3.5 mats!"),
            (Words{"the", "cat", "sat", "on", "3", "5", "mats"}));
  EXPECT_EQ(words_of("\xE2\x80\x9C\xC3\xA9t\xC3\xA9\xE2\x80\x9D, oui"),
            (Words{"\xC3\xA9t\xC3\xA9", "oui"}));  // curly quotes are no letters
  EXPECT_EQ(words_of("\xE6\x88\x91\xE6\x98\xAF"), (Words{"\xE6\x88\x91", "\xE6\x98\xAF"}));
  EXPECT_TRUE(words_of(" ... ").empty());
}

std::string number_words(int first, int last) {
  std::string text;
  for (int i = first; i < last; ++i) text += "w" + std::to_string(i) + " ";
  return text;
}

TEST(ContaminationCheck, ARunOfThirteenWordsIsFoundAndTwelveAreNot) {
  ContaminationCheck check;
  check.add_evaluation("t", "a", number_words(0, 30));
  check.add_evaluation("t", "b", number_words(100, 130));
  check.add_training("x", "before " + number_words(5, 18) + "after");
  check.add_training("y", "before " + number_words(110, 122) + "after");
  const auto report = check.report();
  ASSERT_EQ(report.size(), 1u);
  EXPECT_EQ(report[0].num_examples, 2);
  ASSERT_EQ(report[0].hits.size(), 1u);
  EXPECT_EQ(report[0].hits[0].id, "a");
  EXPECT_EQ(report[0].hits[0].training_task, "x");
  EXPECT_EQ(report[0].hits[0].words + " ", number_words(5, 18));
}

TEST(ContaminationCheck, ShortInputsAreLookedForWholeAndTheShortestNotAtAll) {
  ContaminationCheck check;
  check.add_evaluation("short", "found", "What is the capital of France?");
  check.add_evaluation("short", "not", "What is the capital of Spain?");
  check.add_evaluation("tiny", "tiny", "Paris?");
  check.add_training("x", "I ask: what is the capital of FRANCE and why. Paris.");
  const auto report = check.report();
  ASSERT_EQ(report.size(), 2u);
  ASSERT_EQ(report[0].hits.size(), 1u);
  EXPECT_EQ(report[0].hits[0].id, "found");
  EXPECT_EQ(report[1].num_too_short, 1);
  EXPECT_TRUE(report[1].hits.empty());
}

// Against looking for every run in every text.
TEST(ContaminationCheck, AgreesWithASearchOfTheText) {
  RandomStream random(RandomKey(4, RandomPurpose::Generator));
  const auto draw = [&](int length) {
    std::string text;
    for (int i = 0; i < length; ++i)
      text += std::string(1, static_cast<char>('a' + random.below(3))) + " ";
    return text;
  };
  std::vector<std::string> evaluation, training;
  for (int i = 0; i < 60; ++i) evaluation.push_back(draw(static_cast<int>(random.between(3, 14))));
  for (int i = 0; i < 12; ++i) training.push_back(draw(30));
  ContaminationCheck check(8, 4);
  for (size_t i = 0; i < evaluation.size(); ++i)
    check.add_evaluation("t", std::to_string(i), evaluation[i]);
  for (const std::string& text : training) check.add_training("x", text);
  std::vector<std::string> expected, found;
  for (size_t i = 0; i < evaluation.size(); ++i) {
    const size_t num_words = evaluation[i].size() / 2, length = std::min<size_t>(8, num_words);
    if (num_words < 4) continue;
    bool is_hit = false;
    for (size_t at = 0; at + length <= num_words; ++at)
      for (const std::string& text : training)
        is_hit |= text.find(evaluation[i].substr(2 * at, 2 * length)) != std::string::npos;
    if (is_hit) expected.push_back(std::to_string(i));
  }
  const auto report = check.report();
  for (const auto& hit : report[0].hits) found.push_back(hit.id);
  EXPECT_EQ(found, expected);
  EXPECT_GT(expected.size(), 5u);
  EXPECT_LT(expected.size(), 55u);
}

}  // namespace
}  // namespace flanmoe::data
