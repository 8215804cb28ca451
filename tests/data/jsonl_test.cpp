#include "data/jsonl.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace flanmoe::data {
namespace {

class Jsonl : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "/flanmoe_jsonl_" +
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(folder_);
    make_folders(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string write(const std::string& name, const std::string& content) const {
    const std::string path = folder_ + "/" + name;
    write_file_atomically(path, content);
    return path;
  }
  std::string folder_;
};

Example parse(const std::string& text, bool requires_targets = true) {
  return parse_example(Json::parse(text), "f.jsonl:3", requires_targets);
}

// The message of the error, with its code before it.
std::string error_of(const std::string& text, bool requires_targets = true) {
  try {
    parse(text, requires_targets);
  } catch (const Error& error) {
    return std::string(to_string(error.code())) + " " + error.what();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(Jsonl, ReadsEveryKeyOfTheSchema) {
  const Example example = parse(
      R"({"id":"a","task":"t","cluster":"c","split":"test","inputs":"x","targets":"y","choices":["y","z"],"answer_index":0,
    "references":["y","yy"],"fields":{"n":3,"s":"w"},"template":"p","lang":"en","rationale":null})");
  EXPECT_EQ(example.id, "a");
  EXPECT_EQ(example.task, "t");
  EXPECT_EQ(example.cluster, "c");
  EXPECT_EQ(example.split, "test");
  EXPECT_EQ(example.inputs, "x");
  EXPECT_EQ(example.targets, "y");
  EXPECT_EQ(example.choices, (std::vector<std::string>{"y", "z"}));
  EXPECT_EQ(example.answer_index, 0);
  EXPECT_EQ(example.references, (std::vector<std::string>{"y", "yy"}));
  EXPECT_EQ(example.fields.at("n"), 3);
  EXPECT_EQ(field_text(example.fields.at("n")), "3");
  EXPECT_EQ(example.fields.at("s"), "w");
  EXPECT_EQ(example.template_name, "p");
  EXPECT_EQ(example.where, "f.jsonl:3");
  const Example again = parse_example(to_json(example), "f.jsonl:3");
  EXPECT_EQ(to_json(again), to_json(example));
}

TEST_F(Jsonl, NamesLineKeyAndWhatWasFound) {
  for (const auto& [line, part] : std::vector<std::pair<std::string, std::string>>{
           {R"({"targets":"y"})", "'inputs'"},
           {R"({"inputs":"x"})", "'targets'"},
           {R"({"inputs":3,"targets":"y"})", "'inputs' is number (3), expected a string"},
           {R"({"inputs":"x","targets":["y"]})", "'targets' is array"},
           {R"({"inputs":"x","targets":"y","choices":"y"})", "'choices' is string"},
           {R"({"inputs":"x","targets":"y","choices":["y",2]})", "'choices[1]' is number"},
           {R"({"inputs":"x","targets":"y","choices":["y"],"answer_index":1})", "expected 0 to 0"},
           {R"({"inputs":"x","targets":"y","choices":["y"],"answer_index":-1})",
            "'answer_index' is -1"},
           {R"({"inputs":"x","targets":"y","choices":["y"],"answer_index":18446744073709551615})",
            "'answer_index' is 18446744073709551615"},
           {R"({"inputs":"x","targets":"y","choices":["y"],"answer_index":0.5})",
            "expected an integer"},
           {R"({"inputs":"x","targets":"y","answer_index":0})", "'choices' is not"},
           {R"({"inputs":"x","targets":"y","fields":[1]})", "'fields' is array"}}) {
    const std::string message = error_of(line);
    EXPECT_TRUE(has(message, part)) << line << ": " << message;
    EXPECT_TRUE(has(message, "f.jsonl:3")) << message;
    EXPECT_TRUE(has(message, std::string(to_string(ErrorCode::InvalidArgument)))) << message;
  }
  EXPECT_TRUE(has(error_of("[1]"), std::string(to_string(ErrorCode::CorruptFile))));
  EXPECT_EQ(error_of(R"({"inputs":"x"})", false), "");
}

TEST_F(Jsonl, ReadsFilesAndFoldersInOrderAndSkipsBlankLines) {
  write("b.jsonl", "{\"inputs\":\"2\",\"targets\":\"b\"}\n");
  const std::string path =
      write("a.jsonl",
            "{\"inputs\":\"1\",\"targets\":\"a\"}\n\n  \n{\"inputs\":\"1\",\"targets\":\"aa\"}");
  write("ignored.txt", "nothing");
  const std::vector<Example> examples = load_examples(folder_);
  ASSERT_EQ(examples.size(), 3u);
  EXPECT_EQ(examples[0].targets, "a");
  EXPECT_EQ(examples[1].targets, "aa");
  EXPECT_EQ(examples[1].where, path + ":4");
  EXPECT_EQ(examples[1].id, path + ":4");
  EXPECT_EQ(examples[2].targets, "b");
}

TEST_F(Jsonl, ABrokenLineIsNamed) {
  const std::string path = write("a.jsonl", "{\"inputs\":\"1\",\"targets\":\"a\"}\n{\"inputs\":\n");
  try {
    load_examples(path);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::CorruptFile);
    EXPECT_TRUE(has(error.what(), "a.jsonl:2")) << error.what();
  }
}

TEST_F(Jsonl, AFolderWithoutFilesAndAMissingFileAreNotFound) {
  for (const std::string& path : {folder_, folder_ + "/missing.jsonl"}) {
    try {
      load_examples(path);
      FAIL() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::NotFound) << error.what();
    }
  }
}

}  // namespace
}  // namespace flanmoe::data
