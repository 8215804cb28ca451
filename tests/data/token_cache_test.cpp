// Tokens on disk against encoding the same text directly.
#include "data/token_cache.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <set>
#include <thread>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/random.h"
#include "data/cache.h"
#include "data/documents.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace flanmoe::data {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;

const text::Tokenizer& tokenizer() {
  static const text::Tokenizer loaded =
      text::Tokenizer::load(FLANMOE_SOURCE_DIR "/tests/golden/tokenizer");
  return loaded;
}

class TokenCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const char* before = getenv("FLANMOE_CACHE")) before_ = before;
    setenv("FLANMOE_CACHE", (folder_ / "cache").c_str(), 1);
  }
  void TearDown() override {
    if (before_.empty())
      unsetenv("FLANMOE_CACHE");
    else
      setenv("FLANMOE_CACHE", before_.c_str(), 1);
  }
  std::vector<fs::path> entries(const std::string& kind) const {
    std::vector<fs::path> found;
    std::error_code ignored;
    for (fs::directory_iterator it(cache_folder(), ignored), end; it != end; ++it)
      if (it->is_directory() && it->path().filename().string().starts_with(kind))
        found.push_back(it->path());
    return found;
  }
  // `num_examples` of two tasks, of every length.
  std::string put_examples(int num_examples) {
    RandomStream random(RandomKey(3, RandomPurpose::Generator));
    std::string content;
    for (int i = 0; i < num_examples; ++i) {
      std::string text;
      for (int64_t n = random.between(0, 40); n > 0; --n)
        text += random.pick<std::string>({"The", " captain", " sails", "\n", "é", " 10", "zz"});
      const Json line = {
          {"task", i % 3 ? "a" : "b"}, {"inputs", text}, {"targets", std::to_string(i)}};
      content += line.dump() + "\n";
    }
    put_file(folder_ / "x.jsonl", content);
    return folder_ / "x.jsonl";
  }

  TemporaryFolder folder_;
  std::string before_;
};

void expect_equal_to_direct(const TokenizedSource& tokenized, const Source& source) {
  for (int64_t n = source.size() - 1; n >= 0; --n) {
    const auto i = static_cast<uint64_t>(n);
    const Example example = source.get(i);
    const TokenizedExample got = tokenized.get(i);
    ASSERT_EQ(got.inputs, tokenizer().encode_with_eos(example.inputs));
    ASSERT_EQ(got.targets, tokenizer().encode_with_eos(example.targets));
  }
}

TEST_F(TokenCacheTest, IdsAreThoseOfEncodingDirectly) {
  const Sources sources = open_sources(put_examples(3000), 1);
  std::set<uint64_t> keys;
  for (const int num_threads : {3, 1}) {  // the second time out of the cache
    const TokenCache cache(tokenizer(), num_threads);
    for (const auto& source : sources) {
      const auto tokenized = cache.open(source);
      EXPECT_TRUE(tokenized->is_cached());
      EXPECT_EQ(tokenized->size(), source->size());
      expect_equal_to_direct(*tokenized, *source);
      for (int64_t i = 0; i < source->size(); ++i)
        keys.insert(tokenized->get(static_cast<uint64_t>(i)).key);
    }
  }
  EXPECT_EQ(keys.size(), 3000u);  // the same in both, and no two examples share one
  EXPECT_EQ(entries("tokens-").size(), 2u);
}

TEST_F(TokenCacheTest, ThreadsWriteTheSameBytesAsOne) {
  const Sources sources = open_sources(put_examples(3000), 1);
  (void)TokenCache(tokenizer(), 4).open(sources[0]);
  const fs::path entry = entries("tokens-").at(0);
  const std::string ids = get_file(entry / "ids"), offsets = get_file(entry / "offsets");
  fs::remove_all(entry);
  (void)TokenCache(tokenizer(), 1).open(sources[0]);
  EXPECT_EQ(get_file(entry / "ids"), ids);
  EXPECT_EQ(get_file(entry / "offsets"), offsets);
}

TEST_F(TokenCacheTest, ASecondOpeningReadsNoExample) {
  class Guarded : public Source {
   public:
    Guarded(std::shared_ptr<const Source> inner, std::atomic<int>& num_reads)
        : inner_(std::move(inner)), num_reads_(num_reads) {}
    std::string task() const override { return inner_->task(); }
    std::string cluster() const override { return inner_->cluster(); }
    int64_t size() const override { return inner_->size(); }
    Example get(uint64_t index) const override {
      ++num_reads_;
      return inner_->get(index);
    }
    std::string content_hash() const override { return inner_->content_hash(); }

   private:
    std::shared_ptr<const Source> inner_;
    std::atomic<int>& num_reads_;
  };
  std::atomic<int> num_reads{0};
  const auto source = std::make_shared<Guarded>(open_sources(put_examples(90), 1)[0], num_reads);
  (void)TokenCache(tokenizer()).open(source);
  EXPECT_EQ(num_reads, source->size());
  const auto again = TokenCache(tokenizer()).open(source);
  (void)again->get(3);
  EXPECT_EQ(num_reads, source->size());
}

TEST_F(TokenCacheTest, AnotherTokenizerOrContentIsAnotherEntry) {
  const std::string path = put_examples(30);
  (void)TokenCache(tokenizer()).open(open_sources(path, 1)[0]);
  const auto other = text::Tokenizer::from_model_bytes(
      read_file(FLANMOE_SOURCE_DIR "/tests/golden/tokenizer/spiece.model"), 50);
  (void)TokenCache(other).open(open_sources(path, 1)[0]);
  EXPECT_EQ(entries("tokens-").size(), 2u);
  put_examples(31);
  const auto source = open_sources(path, 1)[0];
  expect_equal_to_direct(*TokenCache(tokenizer()).open(source), *source);
  EXPECT_EQ(entries("tokens-").size(), 3u);
}

TEST_F(TokenCacheTest, ADamagedEntryIsMadeAnew) {
  const auto source = open_sources(put_examples(300), 1)[0];
  (void)TokenCache(tokenizer()).open(source);
  for (const std::string file : {"ids", "offsets", "tokens.json"}) {
    const std::string path = entries("tokens-").at(0) / file;
    const std::string whole = get_file(path);
    for (const std::string& bad :
         {whole.substr(1), whole + whole, std::string(),
          std::string(whole).replace(whole.size() / 2, 1, 1,
                                     static_cast<char>(whole[whole.size() / 2] ^ 1))}) {
      put_file(path, bad);
      expect_equal_to_direct(*TokenCache(tokenizer()).open(source), *source);
      EXPECT_EQ(get_file(path), whole);
    }
  }
}

TEST_F(TokenCacheTest, EndlessSourcesAreEncodedWhenAsked) {
  const auto source = open_sources("builtin:train", 1)[0];
  const auto tokenized = TokenCache(tokenizer()).open(source);
  EXPECT_FALSE(tokenized->is_cached());
  EXPECT_EQ(tokenized->get(5).inputs, tokenizer().encode_with_eos(source->get(5).inputs));
  EXPECT_EQ(tokenized->get(5).targets, tokenizer().encode_with_eos(source->get(5).targets));
}

TEST_F(TokenCacheTest, WhatAJobThrowsIsThrown) {
  fs::create_directories(folder_ / "lists");
  for (const int num_threads : {1, 4})
    for (const bool is_late : {false, true}) {
      int n = 0;
      expect_error(ErrorCode::CorruptFile, "planted", [&] {
        TokenLists::write(
            folder_ / "lists", 100,
            [&]() -> TokenLists::Job {
              const int number = n++;
              if (!is_late && number == 20) fail(ErrorCode::CorruptFile, "planted");
              if (number == 40) return {};
              return [number](TokenLists::Lists& lists) {
                if (number == 30) fail(ErrorCode::CorruptFile, "planted");
                lists.push_back({number});
              };
            },
            num_threads);
      });
      EXPECT_EQ(TokenLists::open(folder_ / "lists", std::make_shared<ResidencyLimit>()), nullptr);
    }
}

TEST_F(TokenCacheTest, WideIdsForLargeVocabularies) {
  for (const int64_t vocabulary : {65536, 65537, 250000}) {
    const std::string folder = folder_ / std::to_string(vocabulary);
    fs::create_directories(folder);
    const Ids ids = {0, 1, static_cast<int32_t>(vocabulary - 1), 32000};
    bool is_done = false;
    TokenLists::write(folder, vocabulary, [&]() -> TokenLists::Job {
      if (std::exchange(is_done, true)) return {};
      return [&](TokenLists::Lists& lists) { lists = {{}, ids, {}, ids}; };
    });
    const auto lists = TokenLists::open(folder, std::make_shared<ResidencyLimit>());
    ASSERT_EQ(lists->size(), 4u);
    EXPECT_EQ(lists->list(0), Ids{});
    EXPECT_EQ(lists->list(1), ids);
    EXPECT_EQ(lists->list(2), Ids{});
    EXPECT_EQ(lists->list(3), ids);
    EXPECT_EQ(lists->tokens(2, 4), (Ids{ids[2], ids[3], ids[0], ids[1]}));
    EXPECT_EQ(fs::file_size(folder + "/ids"), (vocabulary > 65536 ? 4u : 2u) * 8u);
  }
}

TEST_F(TokenCacheTest, MappedFilesStayWithinTheirLimit) {
  const int64_t file_bytes = int64_t{192} << 20;
  put_file(folder_ / "large", "");
  fs::resize_file(folder_ / "large", static_cast<uintmax_t>(file_bytes));
  const auto limit = std::make_shared<ResidencyLimit>(int64_t{16} << 20);
  const MappedFile file(folder_ / "large", limit);
  const int64_t before = resident_memory_bytes();
  int64_t largest = 0, sum = 0;
  for (int64_t at = 0; at < file_bytes; at += 4096) {
    sum += *file.read(static_cast<uint64_t>(at), 1);
    if (at % (1 << 20) == 0) largest = std::max(largest, resident_memory_bytes() - before);
  }
  EXPECT_EQ(sum, 0);
  EXPECT_LT(largest, int64_t{32} << 20);
}

class DocumentsTest : public TokenCacheTest {
 protected:
  std::string put_documents() {
    put_file(folder_ / "d/a.txt", "one\ntwo\r\n\n\n  \nthree\n");
    put_file(folder_ / "d/b.jsonl", "{\"text\":\"four\"}\n{\"text\":\" \"}\n");
    put_file(folder_ / "d/c.txt", "\n\n");
    put_file(folder_ / "d/e.txt", "the captain sails\n");
    put_file(folder_ / "d/ignored.md", "nothing");
    return folder_ / "d";
  }
};

TEST_F(DocumentsTest, ComeFromTextAndFromLines) {
  EXPECT_EQ(load_documents(put_documents()),
            (std::vector<std::string>{"one\ntwo", "three", "four", "the captain sails"}));
  put_file(folder_ / "bad.jsonl", "{\"text\":\"four\"}\n{\"txt\":\" \"}\n");
  expect_error(ErrorCode::InvalidArgument, "bad.jsonl:2: [data] the line has no 'text'",
               [&] { (void)load_documents(folder_ / "bad.jsonl"); });
  expect_error(ErrorCode::NotFound, "no .jsonl, .txt", [&] {
    fs::create_directories(folder_ / "empty");
    (void)load_documents(folder_ / "empty");
  });
}

TEST_F(DocumentsTest, TokensAreThoseOfTheDocumentsOneAfterTheOther) {
  const std::string path = put_documents();
  const auto documents = Documents::open({path, path + "/e.txt"}, tokenizer());
  auto texts = load_documents(path);
  texts.push_back("the captain sails");
  Ids all;
  ASSERT_EQ(documents.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(documents.begin(i), all.size());
    const Ids ids = tokenizer().encode(texts[i]);
    all.insert(all.end(), ids.begin(), ids.end());
  }
  EXPECT_EQ(documents.begin(texts.size()), all.size());
  EXPECT_EQ(documents.num_tokens(), all.size());
  for (size_t begin = 0; begin <= all.size(); ++begin)
    for (size_t count = 0; begin + count <= all.size(); ++count)
      ASSERT_EQ(documents.tokens(begin, count),
                Ids(all.begin() + static_cast<std::ptrdiff_t>(begin),
                    all.begin() + static_cast<std::ptrdiff_t>(begin + count)));
  EXPECT_EQ(entries("documents-").size(), 2u);
  put_file(folder_ / "d/e.txt", "other\n");
  EXPECT_EQ(Documents::open({path}, tokenizer()).num_tokens(),
            all.size() - 2 * tokenizer().encode("the captain sails").size() +
                tokenizer().encode("other").size());
}

TEST_F(DocumentsTest, PiecesCoverAllButRestsOfOneToken) {
  const auto documents = Documents::open({put_documents()}, tokenizer());
  const Ids all = documents.tokens(0, documents.num_tokens());
  for (uint64_t length = 2; length < 12; ++length)
    for (const bool crosses : {true, false}) {
      const DocumentPieces pieces(documents, length, crosses);
      // The loop that cuts a list of tokens.
      std::vector<Ids> expected;
      const auto cut = [&](uint64_t begin, uint64_t end) {
        for (; begin + 1 < end; begin += length)
          expected.emplace_back(
              all.begin() + static_cast<std::ptrdiff_t>(begin),
              all.begin() + static_cast<std::ptrdiff_t>(std::min(begin + length, end)));
      };
      if (crosses)
        cut(0, all.size());
      else
        for (uint64_t d = 0; d < documents.size(); ++d)
          cut(documents.begin(d), documents.begin(d + 1));
      ASSERT_EQ(pieces.size(), expected.size());
      for (uint64_t i = 0; i < expected.size(); ++i) EXPECT_EQ(pieces.get(i), expected[i]);
    }
}

}  // namespace
}  // namespace flanmoe::data
