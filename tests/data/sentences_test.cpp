#include "data/sentences.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace flanmoe::data {
namespace {

std::vector<std::string> texts_of(const std::string& path) {
  std::vector<std::string> texts;
  for_each_text(path, [&](std::string_view text) { texts.emplace_back(text); });
  return texts;
}

TEST(Sentences, ComeFromTextLinesAndExamples) {
  const TemporaryFolder folder;
  put_file(folder / "a.txt", "one\ntwo\n");
  put_file(folder / "b.jsonl",
           "{\"text\":\"three\\nfour\"}\n\n{\"inputs\":\"five\",\"targets\":\"six\"}\n");
  put_file(folder / "README.md", "nothing");
  EXPECT_EQ(texts_of(folder.path()),
            (std::vector<std::string>{"one", "two", "three\nfour", "five", "six"}));
  SentenceSample sample(0, 1);
  for (const auto& text : texts_of(folder.path())) sample.add(text + "\n \n");
  EXPECT_EQ(sample.sentences(),
            (std::vector<std::string>{"one", "two", "three", "four", "five", "six"}));
  put_file(folder / "c.jsonl", "{\"txt\":\"x\"}\n");
  expect_error(ErrorCode::InvalidArgument, "c.jsonl:1: [data] the line has none of text",
               [&] { (void)texts_of(folder.path()); });
  std::filesystem::create_directories(folder / "empty");
  error_of(ErrorCode::NotFound, [&] { (void)texts_of(folder / "empty"); });
  error_of(ErrorCode::InvalidArgument, [] { SentenceSample(-1, 0); });
}

TEST(Sentences, TheSampleIsUniformAndTheSameEachTime) {
  constexpr int kSeen = 40, kKept = 10, kSeeds = 2000;
  std::map<std::string, int> counts;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SentenceSample sample(kKept, seed), again(kKept, seed);
    for (int i = 0; i < kSeen; ++i) {
      sample.add(std::to_string(i));
      again.add(std::to_string(i));
    }
    ASSERT_EQ(sample.sentences(), again.sentences());
    ASSERT_EQ(sample.sentences().size(), static_cast<size_t>(kKept));
    EXPECT_EQ(sample.num_seen(), kSeen);
    for (const auto& sentence : sample.sentences()) ++counts[sentence];
  }
  EXPECT_EQ(counts.size(), static_cast<size_t>(kSeen));
  // 500 expected of each, standard deviation 19.
  for (const auto& [sentence, count] : counts) EXPECT_NEAR(count, 500, 100) << sentence;
}

}  // namespace
}  // namespace flanmoe::data
