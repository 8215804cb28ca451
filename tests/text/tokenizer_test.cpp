#include "text/tokenizer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace flanmoe::text {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;

const std::string kGolden = FLANMOE_SOURCE_DIR "/tests/golden/tokenizer";

const Json& golden() {
  static const Json json = load_json(kGolden + "/expected.json");
  return json;
}

const Tokenizer& tokenizer() {
  static const Tokenizer loaded = Tokenizer::load(kGolden);
  return loaded;
}

TEST(Tokenizer, HasTheSizesAndSentinelsOfTheReference) {
  EXPECT_EQ(tokenizer().size(), golden()["vocab_size"].get<int64_t>());
  EXPECT_EQ(tokenizer().num_sentinels(), golden()["extra_ids"].get<int64_t>());
  int64_t num_checked = 0;
  for (const auto& [text, id] : golden()["sentinel_ids"].items()) {
    EXPECT_EQ(tokenizer().piece(id.get<int32_t>()), text);
    EXPECT_EQ(tokenizer().encode(text), Ids{id.get<int32_t>()});
    EXPECT_EQ(tokenizer().sentinel_id(std::stoi(text.substr(10))), id.get<int32_t>());
    ++num_checked;
  }
  EXPECT_EQ(num_checked, 100);
  EXPECT_EQ(tokenizer().sentinel_id(0), tokenizer().size() - 1);
  error_of(ErrorCode::InvalidArgument, [] { (void)tokenizer().sentinel_id(100); });
  error_of(ErrorCode::InvalidArgument, [] { (void)tokenizer().sentinel_id(-1); });
}

TEST(Tokenizer, EncodesTheReferenceTableIdForId) {
  ASSERT_EQ(golden()["table"].size(), 70u);
  for (const auto& row : golden()["table"]) {
    const auto text = row["text"].get<std::string>();
    EXPECT_EQ(tokenizer().encode_with_eos(text), row["ids"].get<Ids>()) << text;
    Ids without = row["ids"].get<Ids>();
    without.pop_back();
    EXPECT_EQ(tokenizer().encode(text), without) << text;
    std::vector<std::string> pieces;
    for (const int32_t id : row["ids"].get<Ids>()) pieces.push_back(tokenizer().piece(id));
    EXPECT_EQ(pieces, row["tokens"].get<std::vector<std::string>>()) << text;
  }
}

TEST(Tokenizer, DecodesTheReferenceTable) {
  for (const auto& row : golden()["table"]) {
    EXPECT_EQ(tokenizer().decode(row["ids"].get<Ids>(), false), row["decoded"].get<std::string>())
        << row["text"];
    EXPECT_EQ(tokenizer().decode(row["ids"].get<Ids>()),
              row["decoded_skip_special"].get<std::string>())
        << row["text"];
  }
}

TEST(Tokenizer, AgreesWithOneOfTheTwoReferencesWhereTheyDiverge) {
  for (const auto& row : golden()["divergent"]) {
    const Ids ids = tokenizer().encode_with_eos(row["text"].get<std::string>());
    EXPECT_TRUE(ids == row["spm_ids_with_eos"].get<Ids>() || ids == row["hf_fast_ids"].get<Ids>())
        << row["text"];
  }
}

TEST(Tokenizer, TruncatesAsTheReferenceDoes) {
  const Json& padding = golden()["batch_padding"];
  for (const auto& [key, max_length] : {std::pair{"longest", 0}, {"max_length_8_truncated", 8}}) {
    for (size_t i = 0; i < padding["texts"].size(); ++i) {
      Ids ids = tokenizer().encode_with_eos(padding["texts"][i].get<std::string>(), max_length);
      const Ids expected = padding[key]["input_ids"][i].get<Ids>();
      ids.resize(expected.size(), Tokenizer::kPadId);
      EXPECT_EQ(ids, expected);
    }
  }
  EXPECT_EQ(tokenizer().encode_with_eos("The captain crosses", 1), Ids{Tokenizer::kEosId});
  // As long as the limit: nothing is cut.
  const Ids whole = tokenizer().encode_with_eos("The captain crosses");
  EXPECT_EQ(tokenizer().encode_with_eos("The captain crosses", static_cast<int64_t>(whole.size())),
            whole);
}

TEST(Tokenizer, EncodesAPairAsTwoPieces) {
  const Json& pair = golden()["batch_padding"]["pair"];
  Ids ids;
  for (const auto& text : pair["texts"])
    for (const int32_t id : tokenizer().encode_with_eos(text.get<std::string>())) ids.push_back(id);
  EXPECT_EQ(ids, pair["input_ids"].get<Ids>());
}

TEST(Tokenizer, LeavesTextThatOnlyLooksLikeASentinel) {
  for (const char* text : {"<extra_id_100>", "<extra_id_007>", "<extra_id_>", "<extra_id_5",
                           "<extra_id_-1>", "<extra_id_99999999999999999999>", "<", "<pad"})
    for (const int32_t id : tokenizer().encode(text)) EXPECT_LT(id, 1400) << text;
}

TEST(Tokenizer, GivesIdsPastTheEndAName) {
  EXPECT_EQ(tokenizer().piece(1500), "<unused_1500>");
  EXPECT_EQ(tokenizer().decode({16, 1500, 517}), "The captain");
  EXPECT_EQ(tokenizer().decode({16, 1500}, false), "The<unused_1500>");
  error_of(ErrorCode::InvalidArgument, [] { (void)tokenizer().piece(-1); });
  error_of(ErrorCode::InvalidArgument, [] { (void)tokenizer().decode({-100}); });
}

TEST(Tokenizer, TakesAnyBytes) {
  RandomStream random(RandomKey(1, RandomPurpose::Generator));
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    for (int64_t n = random.between(0, 60); n > 0; --n)
      text += static_cast<char>(random.below(256));
    if (i % 3 == 0)
      text.insert(random.below(text.size() + 1),
                  "<extra_id_" + std::to_string(random.below(120)) + ">");
    for (const int32_t id : tokenizer().encode(text))
      ASSERT_TRUE(id >= 0 && id < tokenizer().size());
    Ids ids;
    for (int64_t n = random.between(0, 20); n > 0; --n)
      ids.push_back(static_cast<int32_t>(random.below(1600)));
    (void)tokenizer().decode(ids, i % 2 == 0);
  }
}

TEST(Tokenizer, LongTextIsEncodedWhole) {
  std::string text;
  for (int i = 0; i < 20000; ++i) text += "the captain ";
  EXPECT_EQ(tokenizer().encode(text).size(), 40000u);
}

TEST(Tokenizer, SavedFolderLoadsTheSame) {
  TemporaryFolder folder;
  tokenizer().save(folder.path());
  EXPECT_EQ(read_file(folder / "spiece.model"), read_file(kGolden + "/spiece.model"));
  EXPECT_EQ(read_file(folder / "tokenizer_config.json"),
            read_file(kGolden + "/tokenizer_config.json"));
  EXPECT_FALSE(is_file(folder / "tokenizer.json"));
  const Tokenizer again = Tokenizer::load(folder.path());
  EXPECT_EQ(again.size(), tokenizer().size());
  EXPECT_EQ(again.content_hash(), tokenizer().content_hash());
}

TEST(Tokenizer, KeepsTheFilesItCameWith) {
  TemporaryFolder folder, copy;
  write_file_atomically(folder / "spiece.model", read_file(kGolden + "/spiece.model"));
  const std::string json =
      R"({"added_tokens": [{"id": 1400, "content": "<extra_id_1>"}, {"id": 1401, "content": "<extra_id_0>"}, {"id": 1, "content": "</s>"}]})";
  write_file_atomically(folder / "tokenizer.json", json);
  write_file_atomically(folder / "special_tokens_map.json", "{\"eos_token\": \"</s>\"}");
  const Tokenizer loaded = Tokenizer::load(folder.path());
  EXPECT_EQ(loaded.num_sentinels(), 2);
  loaded.save(copy / "deeper");
  EXPECT_EQ(read_file(copy / "deeper/tokenizer.json"), json);
  EXPECT_EQ(read_file(copy / "deeper/special_tokens_map.json"), "{\"eos_token\": \"</s>\"}");
  EXPECT_EQ(Tokenizer::load(copy / "deeper").num_sentinels(), 2);
}

// The fields of a protocol buffer, of the two wire types needed here.
std::vector<std::pair<uint64_t, std::string>> read_fields(const std::string& bytes) {
  std::vector<std::pair<uint64_t, std::string>> fields;
  size_t i = 0;
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      value |= static_cast<uint64_t>(bytes.at(i) & 0x7F) << shift;
      if (!(bytes.at(i++) & 0x80)) return value;
    }
  };
  while (i < bytes.size()) {
    const uint64_t tag = varint();
    const uint64_t size = (tag & 7) == 2 ? varint() : (tag & 7) == 5 ? 4 : 0;
    if (size == 0 && (tag & 7) == 0)
      fields.emplace_back(tag >> 3, std::to_string(varint()));
    else
      fields.emplace_back(tag >> 3, bytes.substr(i, size));
    i += size;
  }
  return fields;
}

std::string encode_base64(const std::string& bytes) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t j = 0; j < 3; ++j)
      bits = bits << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0);
    for (size_t j = 0; j < 4; ++j)
      text += i + j > bytes.size() ? '=' : digits[bits >> (18 - 6 * j) & 63];
  }
  return text;
}

// tokenizer.json as `transformers` makes it from the golden spiece.model.
Json make_tokenizer_json() {
  Json vocab = Json::array();
  std::string charsmap;
  for (const auto& [field, content] : read_fields(read_file(kGolden + "/spiece.model"))) {
    if (field == 1) {
      const auto piece = read_fields(content);
      float score = 0;
      std::memcpy(&score, piece.at(1).second.data(), 4);
      vocab.push_back({piece.at(0).second, score});
    }
    if (field == 3)
      for (const auto& [key, value] : read_fields(content))
        if (key == 2) charsmap = value;
  }
  for (int n = 99; n >= 0; --n) vocab.push_back({"<extra_id_" + std::to_string(n) + ">", 0.0});
  Json json;
  json["normalizer"] = {
      {"type", "Sequence"},
      {"normalizers",
       {{{"type", "Precompiled"}, {"precompiled_charsmap", encode_base64(charsmap)}},
        {{"type", "Strip"}}}}};
  json["model"] = {{"type", "Unigram"}, {"unk_id", 2}, {"vocab", vocab}, {"byte_fallback", false}};
  return json;
}

TEST(Tokenizer, WritesAConfigThatSaysAllOfItsSpecialTokens) {
  TemporaryFolder folder;
  const Tokenizer made = Tokenizer::from_model_bytes(read_file(kGolden + "/spiece.model"), 20);
  made.save(folder.path());
  const Json config = load_json(folder / "tokenizer_config.json");
  EXPECT_EQ(config["extra_ids"], 20);
  EXPECT_EQ(config["tokenizer_class"], "T5Tokenizer");
  EXPECT_EQ(config["additional_special_tokens"].size(), 20u);
  EXPECT_EQ(config["added_tokens_decoder"].size(), 23u);
  for (const auto& [id, token] : config["added_tokens_decoder"].items())
    EXPECT_EQ(made.piece(std::stoi(id)), token["content"].get<std::string>());
  EXPECT_EQ(Tokenizer::load(folder.path()).num_sentinels(), 20);
  const Json json = load_json(folder / "tokenizer.json");
  EXPECT_EQ(json["added_tokens"].size(), 23u);
  for (const auto& token : json["added_tokens"])
    EXPECT_EQ(made.piece(token["id"].get<int32_t>()), token["content"].get<std::string>());
  for (int32_t id = 0; id < made.size(); ++id)
    EXPECT_EQ(json["model"]["vocab"][static_cast<size_t>(id)][0].get<std::string>(),
              made.piece(id));
  // As made of the same model by other code in this file.
  const Json expected = make_tokenizer_json();
  EXPECT_EQ(json["normalizer"], expected["normalizer"]["normalizers"][0]);
  for (size_t id = 0; id < 1400; ++id)
    EXPECT_EQ(json["model"]["vocab"][id], expected["model"]["vocab"][id]);
}

TEST(Tokenizer, CountsSentinelsInTheConfigOrTakesAHundred) {
  TemporaryFolder folder;
  write_file_atomically(folder / "spiece.model", read_file(kGolden + "/spiece.model"));
  EXPECT_EQ(Tokenizer::load(folder.path()).num_sentinels(), 100);
  const auto with_config = [&](const std::string& config) {
    write_file_atomically(folder / "tokenizer_config.json", config);
    return Tokenizer::load(folder.path()).num_sentinels();
  };
  EXPECT_EQ(with_config("{}"), 100);
  EXPECT_EQ(with_config(R"({"extra_ids": 7})"), 7);
  EXPECT_EQ(with_config(R"({"extra_ids": 0, "additional_special_tokens": null})"), 0);
  EXPECT_EQ(
      with_config(
          R"({"additional_special_tokens": ["<extra_id_0>", {"content": "<extra_id_1>"}, "<extra_id_2>"]})"),
      3);
  EXPECT_EQ(with_config(R"({"added_tokens_decoder": {"1400": {"content": "<extra_id_0>"}}})"), 1);
  for (const char* wrong : {R"({"extra_ids": -1})", R"({"extra_ids": "many"})",
                            R"({"extra_ids": 1e30})", R"({"extra_ids": 1.5})", "[]", "{", ""})
    error_of(ErrorCode::CorruptFile, [&] { (void)with_config(wrong); });
}

TEST(Tokenizer, SaysWhichAddedTokensItDoesNotKnow) {
  TemporaryFolder folder;
  write_file_atomically(folder / "spiece.model", read_file(kGolden + "/spiece.model"));
  write_file_atomically(
      folder / "tokenizer_config.json",
      R"({"extra_ids": 100, "added_tokens_decoder": {"1500": {"content": "<sep>"}, "1": {"content": "</s>"}}})");
  std::vector<std::string> lines;
  log::set_sink([&](log::Level level, const std::string& line) {
    EXPECT_EQ(level, log::Level::Warning);
    lines.push_back(line);
  });
  (void)Tokenizer::load(folder.path());
  log::set_sink({});
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("'<sep>'"), std::string::npos) << lines[0];
}

TEST(Tokenizer, LoadsATokenizerJsonWithoutASentencePieceModel) {
  TemporaryFolder folder, copy;
  const Json json = make_tokenizer_json();
  ASSERT_EQ(json["model"]["vocab"].size(), 1500u);
  write_file_atomically(folder / "tokenizer.json", json.dump());
  const Tokenizer rebuilt = Tokenizer::load(folder.path());
  EXPECT_EQ(rebuilt.size(), 1500);
  EXPECT_EQ(rebuilt.num_sentinels(), 100);
  rebuilt.save(copy.path());
  EXPECT_TRUE(is_file(copy / "spiece.model"));
  for (const Tokenizer& loaded : {rebuilt, Tokenizer::load(copy.path())})
    for (const auto& row : golden()["table"]) {
      EXPECT_EQ(loaded.encode_with_eos(row["text"].get<std::string>()), row["ids"].get<Ids>())
          << row["text"];
      EXPECT_EQ(loaded.decode(row["ids"].get<Ids>(), false), row["decoded"].get<std::string>())
          << row["text"];
    }
}

TEST(Tokenizer, SaysWhyATokenizerJsonCannotBeRead) {
  TemporaryFolder folder;
  const auto error_with = [&](ErrorCode code, const std::string& pointer, const Json& value) {
    Json json = make_tokenizer_json();
    json[Json::json_pointer(pointer)] = value;
    write_file_atomically(folder / "tokenizer.json", json.dump());
    const std::string message = error_of(code, [&] { (void)Tokenizer::load(folder.path()); });
    EXPECT_NE(message.find("tokenizer.json"), std::string::npos) << message;
  };
  error_with(ErrorCode::Unsupported, "/model/type", "BPE");
  error_with(ErrorCode::Unsupported, "/model", nullptr);
  error_with(ErrorCode::CorruptFile, "/model/vocab", 3);
  error_with(ErrorCode::CorruptFile, "/model/vocab", Json::array());
  error_with(ErrorCode::CorruptFile, "/model/vocab/7", "the");
  error_with(ErrorCode::CorruptFile, "/model/vocab/7/1", "the");
  error_with(ErrorCode::CorruptFile, "/model/vocab/7/0", ".");  // twice
  error_with(ErrorCode::Unsupported, "/model/vocab/0/0", "<s>");
  error_with(ErrorCode::Unsupported, "/normalizer", {{"type", "Lowercase"}});
  error_with(ErrorCode::CorruptFile, "/normalizer/normalizers/0/precompiled_charsmap", "*");
  error_with(ErrorCode::CorruptFile, "/normalizer/normalizers/0/precompiled_charsmap", 1);
  for (const char* wrong : {"", "{", "[]"}) {
    write_file_atomically(folder / "tokenizer.json", wrong);
    error_of(ErrorCode::CorruptFile, [&] { (void)Tokenizer::load(folder.path()); });
  }
}

TEST(Tokenizer, EquallyGoodSegmentationsAreToldApartTheSameEverywhere) {
  // "0" + "00" scores as "00" + "0": single precision would choose by the text before.
  const Ids number = tokenizer().encode("1,000,000");
  for (const char* before : {"The captain crosses the bridge.", "a a a a a a a",
                             "Translate to French: The garden is quiet and the river is deep."}) {
    Ids expected = tokenizer().encode(before);
    expected.insert(expected.end(), number.begin(), number.end());
    EXPECT_EQ(tokenizer().encode(std::string(before) + " 1,000,000"), expected);
  }
}

TEST(Tokenizer, NamesWhatIsMissingOrBroken) {
  TemporaryFolder folder;
  EXPECT_NE(error_of(ErrorCode::NotFound, [&] { (void)Tokenizer::load(folder.path()); })
                .find("spiece.model"),
            std::string::npos);
  EXPECT_NE(error_of(ErrorCode::NotFound, [&] { (void)Tokenizer::load(folder / "none"); })
                .find("no such folder"),
            std::string::npos);
  error_of(ErrorCode::CorruptFile, [] { (void)Tokenizer::from_model_bytes(""); });
  error_of(ErrorCode::CorruptFile,
           [] { (void)Tokenizer::from_model_bytes("this is not a model"); });
  error_of(ErrorCode::InvalidArgument,
           [] { (void)Tokenizer::from_model_bytes(read_file(kGolden + "/spiece.model"), -1); });
}

TEST(Tokenizer, BrokenModelsNeverCrash) {
  const std::string whole = read_file(kGolden + "/spiece.model");
  RandomStream random(RandomKey(2, RandomPurpose::Generator));
  int num_loaded = 0;
  const auto try_load = [&](std::string bytes) {
    try {
      const Tokenizer loaded = Tokenizer::from_model_bytes(std::move(bytes));
      (void)loaded.decode(loaded.encode("The captain <extra_id_3> crosses."));
      ++num_loaded;
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == ErrorCode::CorruptFile ||
                  error.code() == ErrorCode::Unsupported || error.code() == ErrorCode::Internal)
          << error.what();
    }
  };
  testing::internal::CaptureStderr();
  for (int i = 0; i < 300; ++i) try_load(whole.substr(0, random.below(whole.size())));
  for (int i = 0; i < 1500; ++i) {
    std::string bytes = whole;
    // Mostly where the structure is: the pieces are the first 20 KB, the normaliser's table is most
    // of the rest.
    const uint64_t range = i % 4 == 0 ? bytes.size() : 24000;
    for (int64_t n = random.between(1, 8); n > 0; --n)
      bytes[random.below(range)] = static_cast<char>(random.below(256));
    try_load(std::move(bytes));
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_GT(num_loaded, 10);
}

class Training : public testing::Test {
 protected:
  static std::vector<std::string> make_sentences(int count) {
    const std::vector<std::string> subjects = {"the captain", "a quiet river", "our garden",
                                               "the old bridge", "seven birds"};
    const std::vector<std::string> verbs = {"crosses", "finds", "follows", "remembers", "paints"};
    RandomStream random(RandomKey(3, RandomPurpose::Generator));
    std::vector<std::string> sentences;
    for (int i = 0; i < count; ++i)
      sentences.push_back(random.pick(subjects) + " " + random.pick(verbs) + " " +
                          random.pick(subjects) + " number " + std::to_string(random.below(1000)) +
                          ".");
    return sentences;
  }
};

TEST_F(Training, GivesATokenizerWithTheSpecialIdsOfT5) {
  testing::internal::CaptureStderr();
  const std::string bytes = train_sentencepiece(make_sentences(500), {.num_pieces = 120});
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  const Tokenizer trained = Tokenizer::from_model_bytes(bytes);
  EXPECT_EQ(trained.size(), 220);
  EXPECT_EQ(trained.piece(0), "<pad>");
  EXPECT_EQ(trained.piece(1), "</s>");
  EXPECT_EQ(trained.piece(2), "<unk>");
  EXPECT_EQ(trained.decode(trained.encode("the captain paints seven birds number 42.")),
            "the captain paints seven birds number 42.");
  EXPECT_EQ(trained.encode("\xEF\xBC\xA1"),
            trained.encode("A"));  // nmt_nfkc: a full-width A is an A
}

TEST_F(Training, SameSentencesGiveTheSameBytes) {
  const auto sentences = make_sentences(500);
  EXPECT_EQ(train_sentencepiece(sentences, {.num_pieces = 120}),
            train_sentencepiece(sentences, {.num_pieces = 120}));
  EXPECT_NE(train_sentencepiece(sentences, {.num_pieces = 120}),
            train_sentencepiece(sentences, {.num_pieces = 121}));
}

TEST_F(Training, LongSentencesAreNotDropped) {
  std::string line;
  for (int i = 0; i < 2000; ++i) line += "zeta omega " + std::to_string(i * i) + " ";
  ASSERT_GT(line.size(), 4192u * 2);
  const Tokenizer trained =
      Tokenizer::from_model_bytes(train_sentencepiece({line}, {.num_pieces = 60}));
  EXPECT_EQ(trained.decode(trained.encode("zeta omega 7")), "zeta omega 7");
}

TEST_F(Training, SaysWhenTheTextIsTooSmall) {
  const std::string message = error_of(ErrorCode::InvalidArgument, [] {
    (void)train_sentencepiece(make_sentences(3), {.num_pieces = 8000});
  });
  EXPECT_NE(message.find("8000"), std::string::npos) << message;
  error_of(ErrorCode::InvalidArgument, [] { (void)train_sentencepiece({}, {}); });
  error_of(ErrorCode::InvalidArgument, [] { (void)train_sentencepiece({"", "  \n"}, {}); });
  error_of(ErrorCode::InvalidArgument,
           [] { (void)train_sentencepiece({"a"}, {.num_pieces = 1000}); });
  error_of(ErrorCode::InvalidArgument,
           [] { (void)train_sentencepiece(make_sentences(50), {.num_pieces = 5}); });
  error_of(ErrorCode::InvalidArgument,
           [] { (void)train_sentencepiece(make_sentences(50), {.num_pieces = -5}); });
  error_of(ErrorCode::InvalidArgument, [] {
    (void)train_sentencepiece(make_sentences(50), {.num_pieces = 100, .character_coverage = 0});
  });
}

TEST_F(Training, TakesAnyBytes) {
  auto sentences = make_sentences(200);
  sentences.push_back(std::string("null \0 byte", 11));
  sentences.push_back("\xff\xfe broken \xC3");
  sentences.push_back("</s> <pad> <unk> \xE2\x96\x85 \xE2\x96\x81 \t\n\r");
  (void)Tokenizer::from_model_bytes(train_sentencepiece(sentences, {.num_pieces = 100}));
}

}  // namespace
}  // namespace flanmoe::text
