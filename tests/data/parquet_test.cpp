// Parquet, in a build that has Arrow: files are written with Arrow's own writer.
#ifdef FLANMOE_HAS_ARROW

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <gtest/gtest.h>
#include <parquet/arrow/writer.h>
#include <stdlib.h>

#include <filesystem>

#include "base/json.h"
#include "data/source.h"
#include "data/sources/format.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace flanmoe::data {
namespace {

void check(const arrow::Status& status) {
  ASSERT_TRUE(status.ok()) << status.ToString();
}

template <class Builder, class... Values>
std::shared_ptr<arrow::Array> make_array(const Values&... values) {
  Builder builder;
  (check(builder.Append(values)), ...);
  return builder.Finish().ValueOrDie();
}

// Two rows: text, a list of texts, a number, a truth value, a text that is null once.
std::shared_ptr<arrow::Table> make_table() {
  const auto texts = std::make_shared<arrow::StringBuilder>();
  arrow::ListBuilder lists(arrow::default_memory_pool(), texts);
  check(lists.Append());
  check(texts->AppendValues({"yes", "no"}));
  check(lists.Append());
  check(texts->AppendValues({"one"}));
  arrow::StringBuilder notes;
  check(notes.AppendNull());
  check(notes.Append("n"));
  const auto dictionary =
      arrow::DictionaryArray::FromArrays(arrow::dictionary(arrow::int8(), arrow::utf8()),
                                         make_array<arrow::Int8Builder>(1, 0),
                                         make_array<arrow::StringBuilder>("a", "b"))
          .ValueOrDie();
  const std::vector<std::pair<std::string, std::shared_ptr<arrow::Array>>> columns = {
      {"question", make_array<arrow::StringBuilder>("Is it?", "How many?")},
      {"answers", lists.Finish().ValueOrDie()},
      {"label", make_array<arrow::Int64Builder>(1, 0)},
      {"flag", make_array<arrow::BooleanBuilder>(true, false)},
      {"note", notes.Finish().ValueOrDie()},
      {"score", make_array<arrow::DoubleBuilder>(0.5, -2.0)},
      {"kind", dictionary}};
  arrow::FieldVector fields;
  arrow::ArrayVector arrays;
  for (const auto& [name, array] : columns) {
    fields.push_back(arrow::field(name, array->type()));
    arrays.push_back(array);
  }
  const auto pair = arrow::StructArray::Make({make_array<arrow::Int32Builder>(7, 8)},
                                             std::vector<std::string>{"x"})
                        .ValueOrDie();
  fields.push_back(arrow::field("pair", pair->type()));
  arrays.push_back(pair);
  return arrow::Table::Make(arrow::schema(fields), arrays);
}

class ParquetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    setenv("FLANMOE_CACHE", (folder_ / "cache").c_str(), 1);
    path_ = folder_ / "table.parquet";
    const auto file = arrow::io::FileOutputStream::Open(path_).ValueOrDie();
    check(parquet::arrow::WriteTable(*make_table(), arrow::default_memory_pool(), file, 1));
    check(file->Close());
  }
  TemporaryFolder folder_;
  std::string path_;
};

TEST_F(ParquetTest, ColumnsKeepTheirTypes) {
  SourceConfig config;
  config.path = path_;
  config.field_map = {{"inputs", "question"}, {"targets", "answers"}, {"fields.x", "pair.x"}};
  const Sources sources = open_sources(config, 1);
  ASSERT_EQ(sources.size(), 1u);
  ASSERT_EQ(sources[0]->size(), 2);
  EXPECT_EQ(sources[0]->task(), "table");
  const Example first = sources[0]->get(0), second = sources[0]->get(1);
  EXPECT_EQ(first.inputs, "Is it?");
  EXPECT_EQ(first.targets, "yes");
  EXPECT_EQ(first.references, (std::vector<std::string>{"yes", "no"}));
  EXPECT_EQ(first.where, path_ + ":1");
  EXPECT_EQ(first.fields, (Json{{"question", "Is it?"},
                                {"answers", {"yes", "no"}},
                                {"label", 1},
                                {"flag", true},
                                {"note", nullptr},
                                {"score", 0.5},
                                {"kind", "b"},
                                {"pair", {{"x", 7}}},
                                {"x", 7}}));
  EXPECT_EQ(second.targets, "one");
  EXPECT_EQ(second.fields["note"], "n");
  EXPECT_EQ(second.fields["kind"], "a");
  EXPECT_EQ(second.fields["x"], 8);
}

TEST_F(ParquetTest, UnknownColumnsAndBrokenFilesAreNamed) {
  SourceConfig config;
  config.path = path_;
  config.field_map = {{"inputs", "qestion"}};
  expect_error(ErrorCode::InvalidConfig, "did you mean 'question'?",
               [&] { (void)open_sources(config, 1); });
  config.field_map = {{"inputs", "question"}, {"targets", "answers"}};
  const std::string whole = get_file(path_);
  for (const std::string& bad :
       {whole.substr(0, whole.size() / 2), std::string("PAR1"), std::string()}) {
    put_file(path_, bad);
    expect_error(ErrorCode::CorruptFile, path_, [&] { (void)open_sources(config, 1); });
  }
}

}  // namespace
}  // namespace flanmoe::data

#endif
