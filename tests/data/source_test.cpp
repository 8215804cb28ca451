// Sources: every format, the field map, bad rows, the store.
#include "data/source.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "data/builtin.h"
#include "data/cache.h"
#include "data/jsonl.h"
#include "data/sources/format.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace flanmoe::data {
namespace {

namespace fs = std::filesystem;

class SourceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const char* before = getenv("FLANMOE_CACHE")) before_ = before;
    setenv("FLANMOE_CACHE", (folder_ / "cache").c_str(), 1);
    log::set_sink([this](log::Level level, const std::string& line) {
      if (level == log::Level::Warning) warnings_.push_back(line);
    });
  }
  void TearDown() override {
    log::set_sink({});
    if (before_.empty())
      unsetenv("FLANMOE_CACHE");
    else
      setenv("FLANMOE_CACHE", before_.c_str(), 1);
  }
  std::string put(const std::string& name, const std::string& content) {
    put_file(folder_ / name, content);
    return folder_ / name;
  }
  std::string put_gz(const std::string& name, const std::string& content) {
    put(name, "");
    const gzFile file = gzopen((folder_ / name).c_str(), "wb");
    EXPECT_EQ(gzwrite(file, content.data(), static_cast<unsigned>(content.size())),
              static_cast<int>(content.size()));
    gzclose(file);
    return folder_ / name;
  }
  SourceConfig config(const std::string& path) {
    SourceConfig result;
    result.path = path;
    return result;
  }
  // All examples of all sources.
  std::vector<Example> read(const SourceConfig& settings, SourceReport* report = nullptr) {
    std::vector<Example> examples;
    for (const auto& source : open_sources(settings, 1, report))
      for (int64_t i = 0; i < source->size(); ++i) {
        examples.push_back(source->get(static_cast<uint64_t>(i)));
        EXPECT_EQ(examples.back().task, source->task());
      }
    return examples;
  }
  // Folders of the cache that hold examples.
  std::vector<fs::path> stores() const {
    std::vector<fs::path> found;
    std::error_code ignored;
    for (fs::directory_iterator it(cache_folder(), ignored), end; it != end; ++it)
      if (it->is_directory() && it->path().filename().string().starts_with("examples-"))
        found.push_back(it->path());
    return found;
  }

  TemporaryFolder folder_;
  std::string before_;
  std::vector<std::string> warnings_;
};

std::string line_of(int i, const std::string& task = "") {
  Json line = {{"id", "e" + std::to_string(i)},
               {"inputs", "question " + std::to_string(i)},
               {"targets", "answer " + std::to_string(i)}};
  if (!task.empty()) line["task"] = task;
  return line.dump() + "\n";
}

Example random_example(RandomStream& random) {
  const auto text = [&] {
    std::string result;
    for (int64_t n = random.between(0, 30); n > 0; --n)
      result += random.pick<std::string>({"a", "\n", "\"", "é", "\t", "日本", "\\", " ", "0"});
    return result;
  };
  Example example;
  example.id = text();
  example.task = random.pick<std::string>({"t1", "t2", "t3"});
  example.cluster = random.pick<std::string>({"", "c", "d"});
  example.split = random.pick<std::string>({"", "train", "test"});
  example.lang = random.pick<std::string>({"", "en", "mul"});
  example.inputs = text();
  if (random.below(20) == 0) example.inputs.append(5000, 'x');  // longer than one read
  example.targets = text();
  if (random.below(2)) {
    example.choices = {text(), text(), text()};
    example.answer_index = random.between(-1, 2);
  }
  if (random.below(2)) example.references = {text(), text()};
  example.rationale = text();
  example.template_name = text();
  if (random.below(2))
    example.fields = {{"n", random.between(-5, 5)},
                      {"z", 0.1},
                      {"l", {1, text(), nullptr}},
                      {"o", {{"b", true}}}};
  return example;
}

TEST_F(SourceTest, TheStoreGivesWhatTheFileSays) {
  RandomStream random(RandomKey(1, RandomPurpose::Generator));
  std::string content;
  for (int i = 0; i < 500; ++i) content += to_json(random_example(random)).dump() + "\n";
  const std::string path = put("a.jsonl", content);
  // The other way: the lines themselves, in memory.
  std::map<std::string, std::vector<Example>> expected;
  for (Example& example : load_examples(path)) expected[example.task].push_back(std::move(example));
  for (const char* name : {"first opening", "second opening"}) {
    const Sources sources = open_sources(path, 1);
    ASSERT_EQ(sources.size(), 3u);
    for (const auto& source : sources) {
      const auto& examples = expected[source->task()];
      ASSERT_EQ(source->size(), std::ssize(examples));
      EXPECT_EQ(source->cluster(), examples[0].cluster);
      for (size_t i = examples.size(); i-- > 0;) {
        const Example got = source->get(i);
        EXPECT_EQ(to_json(got), to_json(examples[i])) << name;
        EXPECT_EQ(got.where, examples[i].where);
      }
      error_of(ErrorCode::InvalidArgument, [&] { (void)source->get(examples.size()); });
    }
  }
  EXPECT_EQ(stores().size(), 1u);
}

TEST_F(SourceTest, ManyTasksKeepTheOrderWithinEach) {
  std::string content;
  for (int i = 0; i < 20000; ++i) content += line_of(i, "t" + std::to_string(i * 7919 % 1000));
  const Sources sources = open_sources(put("a.jsonl", content), 1);
  ASSERT_EQ(sources.size(), 1000u);
  std::set<std::string> seen;
  for (const auto& source : sources) {
    int last = -1;
    ASSERT_EQ(source->size(), 20);
    for (uint64_t i = 0; i < 20; ++i) {
      const Example example = source->get(i);
      const int number = std::stoi(example.id.substr(1));
      EXPECT_GT(number, last);
      EXPECT_EQ(source->task(), "t" + std::to_string(number * 7919 % 1000));
      last = number;
      seen.insert(example.id);
    }
  }
  EXPECT_EQ(seen.size(), 20000u);
}

TEST_F(SourceTest, DefaultsComeFromFileAndConfiguration) {
  const std::string path = put("x.y.jsonl", line_of(1) + line_of(2, "own"));
  auto examples = read(config(path));
  EXPECT_EQ(examples[0].task, "x.y");
  EXPECT_EQ(examples[0].cluster, "");
  SourceConfig named = config(path);
  named.task = "t";
  named.cluster = "c";
  examples = read(named);
  EXPECT_EQ(examples[0].task, "t");
  EXPECT_EQ(examples[1].task, "own");
  EXPECT_EQ(examples[1].cluster, "c");
}

TEST_F(SourceTest, UnknownKeysOfALineAreFields) {
  const auto examples = read(
      config(put("a.jsonl", R"({"inputs":"x","targets":"y","question":"q","n":[1],"source":"s"})"
                            "\n"
                            R"({"inputs":"x","targets":"y","fields":{"n":1},"n":2})")));
  EXPECT_EQ(examples[0].fields, (Json{{"question", "q"}, {"n", {1}}}));
  EXPECT_EQ(examples[1].fields, (Json{{"n", 1}}));
}

TEST_F(SourceTest, TheFieldMapTurnsATableIntoTheSchema) {
  const std::string path =
      put("a.jsonl", R"({"question":"Where?","answers":{"text":["here","there"]},"number":7,)"
                     R"("a":"x","b":"y","label":1,"inputs":"old"})");
  SourceConfig settings = config(path);
  settings.field_map = {{"inputs", "question"},    {"targets", "answers.text"},
                        {"id", "number"},          {"choices", "a, b"},
                        {"answer_index", "label"}, {"fields.first", "answers.text.0"}};
  const Example example = read(settings).at(0);
  EXPECT_EQ(example.inputs, "Where?");
  EXPECT_EQ(example.targets, "here");
  EXPECT_EQ(example.references, (std::vector<std::string>{"here", "there"}));
  EXPECT_EQ(example.id, "7");
  EXPECT_EQ(example.choices, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(example.answer_index, 1);
  EXPECT_EQ(example.fields["first"], "here");
  EXPECT_EQ(example.fields["inputs"], "old");
  EXPECT_EQ(example.fields["answers"]["text"].size(), 2u);

  settings.field_map = {{"inputs", "question"}, {"choices", "a,b"}, {"answer_index", "label"}};
  EXPECT_EQ(read(settings).at(0).targets, "y");  // the choice
}

TEST_F(SourceTest, AnUnknownColumnOrKeyIsNamedWithTheNearest) {
  const std::string jsonl = put("a.jsonl", R"({"question":"q","answer":"a"})");
  SourceConfig settings = config(jsonl);
  settings.field_map = {{"inputs", "qestion"}, {"targets", "answer"}};
  std::string message = error_of(ErrorCode::InvalidArgument, [&] { read(settings); });
  EXPECT_CONTAINS(message, jsonl + ":1");
  EXPECT_CONTAINS(message, "did you mean 'question'?");
  settings.field_map = {{"input", "question"}};
  message = error_of(ErrorCode::InvalidConfig, [&] { read(settings); });
  EXPECT_CONTAINS(message, "did you mean 'inputs'?");
  const std::string csv = put("a.csv", "question,answer\nq,a\n");
  settings = config(csv);
  settings.field_map = {{"inputs", "question"}, {"targets", "anwser"}};
  message = error_of(ErrorCode::InvalidConfig, [&] { read(settings); });
  EXPECT_CONTAINS(message, "did you mean 'answer'?");
  EXPECT_CONTAINS(message, csv);
  expect_error(ErrorCode::InvalidArgument, "no 'inputs' (one of: question, answer)",
               [&] { read(config(put("b.jsonl", R"({"question":"q","answer":"a"})"))); });
}

TEST_F(SourceTest, RawRowsNeedNoInputs) {
  SourceConfig settings = config(put("a.csv", "question,answer\nq,a\n"));
  error_of(ErrorCode::InvalidArgument, [&] { read(settings); });
  settings.is_raw = true;
  const Example example = read(settings).at(0);
  EXPECT_EQ(example.inputs, "");
  EXPECT_EQ(example.fields, (Json{{"question", "q"}, {"answer", "a"}}));
}

TEST_F(SourceTest, CsvIsReadAsRfc4180HasIt) {
  const std::string table =
      "\xEF\xBB\xBFid,inputs,targets,choices,answer_index,extra\r\n"
      "1,\"a, \"\"b\"\"\nand \r\nmore\",y,\"[\"\"x\"\",\"\"y\"\"]\",1,\r\n"
      "\r\n"
      "2,x,\"\",,,\" kept \"\r\n";
  for (const std::string& path : {put("a.csv", table), put_gz("b.csv.gz", table)}) {
    const auto examples = read(config(path));
    ASSERT_EQ(examples.size(), 2u);
    EXPECT_EQ(examples[0].id, "1");
    EXPECT_EQ(examples[0].inputs, "a, \"b\"\nand \nmore");
    EXPECT_EQ(examples[0].choices, (std::vector<std::string>{"x", "y"}));
    EXPECT_EQ(examples[0].answer_index, 1);
    EXPECT_EQ(examples[0].where, path + ":2");
    EXPECT_EQ(examples[0].fields, (Json{{"extra", ""}}));
    EXPECT_EQ(examples[1].targets, "");
    EXPECT_TRUE(examples[1].choices.empty());
    EXPECT_EQ(examples[1].where, path + ":6");
    EXPECT_EQ(examples[1].fields["extra"], " kept ");
  }
}

TEST_F(SourceTest, ListsInATableAreJson) {
  const auto examples = read(config(put("a.csv",
                                        "inputs,targets,references\n"
                                        "a,b,\"[\"\"x\"\",\"\"y\"\"]\"\n"
                                        "a,b,[1] is no list of texts\n"
                                        "a,b,z\n")));
  EXPECT_EQ(examples[0].references, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(examples[1].references, (std::vector<std::string>{"[1] is no list of texts"}));
  EXPECT_EQ(examples[2].references, (std::vector<std::string>{"z"}));
  for (const std::string bad : {"x", "[x", "3"}) {
    const std::string path = put("b.csv", "inputs,targets,choices\na,b," + bad + "\n");
    const std::string message = error_of(ErrorCode::InvalidArgument, [&] { read(config(path)); });
    EXPECT_CONTAINS(message, path + ":2");
    EXPECT_CONTAINS(message, "expected a list");
  }
  const std::string path =
      put("c.csv", "inputs,targets,choices,answer_index\na,b,\"[\"\"x\"\"]\",y\n");
  expect_error(ErrorCode::InvalidArgument, "'answer_index' is 'y'", [&] { read(config(path)); });
}

TEST_F(SourceTest, TsvHasQuotesOrNot) {
  EXPECT_EQ(read(config(put("a.tsv", "inputs\ttargets\n\"a\tb\"\tc, d\n"))).at(0).inputs, "a\tb");
  const std::string raw = put("b.tsv", "inputs\ttargets\nHe said \"hi\"\t\"\n");
  expect_error(ErrorCode::CorruptFile, "tsv-unquoted", [&] { read(config(raw)); });
  SourceConfig settings = config(raw);
  settings.format = "tsv-unquoted";
  EXPECT_EQ(read(settings).at(0).inputs, "He said \"hi\"");
  EXPECT_EQ(read(settings).at(0).targets, "\"");
}

TEST_F(SourceTest, BadTablesAreNamed) {
  for (const auto& [content, where, part] :
       std::vector<std::tuple<std::string, std::string, std::string>>{
           {"", "", "empty"},
           {"inputs,targets\na\n", ":2", "1 columns, expected the 2"},
           {"inputs,targets\na,b,c\n", ":2", "3 columns"},
           {"inputs,targets\n\na,b\"c\n", ":3", "a quote stands inside column 2"},
           {"inputs,targets\n\"a\"b,c\n", ":2", "text follows the closing quote of column 1"},
           {"inputs,targets\na,b\n\"c,d\ne,f\n", ":3", "not closed"},
           {"inputs,inputs\na,b\n", ":1", "two columns are named 'inputs'"},
           {"inputs,,targets\na,b\n", ":1", "column 2 of 3 has no name"},
           {"inputs,targets\na,\xE9\n", ":2", "byte 3 of the line (0xE9) is not UTF-8"},
       }) {
    const std::string path = put("a.csv", content);
    const std::string message = error_of(ErrorCode::CorruptFile, [&] { read(config(path)); });
    EXPECT_CONTAINS(message, path + where);
    EXPECT_CONTAINS(message, part);
  }
}

TEST_F(SourceTest, AnUnclosedQuoteLosesOneLineOnly) {
  SourceConfig settings = config(put("a.csv", "inputs,targets\na,b\n\"c,d\ne,f\n\"g\",h\n"));
  settings.on_error = OnError::Skip;
  SourceReport report;
  const auto examples = read(settings, &report);
  // The quote of line 3 closes in line 5, and what follows it is no separator: one row of three
  // lines is bad. Without line 5 it never closes, and the lines behind are rows again.
  EXPECT_EQ(report.num_skipped, 1);
  EXPECT_EQ(examples.size(), 1u);
  settings.path = put("b.csv", "inputs,targets\na,b\n\"c,d\ne,f\ng,h\n");
  EXPECT_EQ(read(settings, &report).size(), 3u);
  EXPECT_EQ(report.num_skipped, 1);
  EXPECT_CONTAINS(report.skipped.at(0), "b.csv:3: ");
}

const std::string kTaskFile = R"({
  "Contributors": ["Nobody"],
  "Categories": ["Question Answering", "Other"],
  "Definition": ["Say where it is."],
  "Input_language": ["French"],
  "Positive Examples": [{"input": "the cat", "output": "home", "explanation": "cats stay"}],
  "Negative Examples": [{"input": "the dog", "output": "?", "explanation": "no place"}],
  "Instances": [
    {"id": "i-1", "input": "the \"ship\"", "output": ["at sea", "afloat"]},
    {"id": "i-2", "input": "the\nbird", "output": "in the air"}
  ],
  "Instance License": ["none"]
}
)";

TEST_F(SourceTest, NaturalInstructionsAreReadAsPublished) {
  const std::string path = put("task001_places.json", kTaskFile);
  for (const std::string& file : {path, put_gz("z/task001_places.json.gz", kTaskFile)}) {
    const auto examples = read(config(file));
    ASSERT_EQ(examples.size(), 2u);
    const Example& example = examples[0];
    EXPECT_EQ(example.task, "task001_places");
    EXPECT_EQ(example.cluster, "Question Answering");
    EXPECT_EQ(example.lang, "fr");
    EXPECT_EQ(example.id, "i-1");
    EXPECT_EQ(example.inputs, "Say where it is.\n\nthe \"ship\"");
    EXPECT_EQ(example.targets, "at sea");
    EXPECT_EQ(example.references, (std::vector<std::string>{"at sea", "afloat"}));
    EXPECT_EQ(example.where, file + ":9");
    const Json& fields = example.fields;
    EXPECT_EQ(fields["Definition"], "Say where it is.");
    EXPECT_EQ(fields["input"], "the \"ship\"");
    EXPECT_EQ(fields["output"], "at sea");
    EXPECT_EQ(fields["ex_input"], "the cat");
    EXPECT_EQ(fields["ex_output"], "home");
    EXPECT_EQ(fields["ex_explanation"], "cats stay");
    EXPECT_EQ(fields["positive_examples"][0]["output"], "home");
    EXPECT_EQ(fields["negative_examples"][0]["input"], "the dog");
    EXPECT_EQ(fields["Instance License"], (Json{"none"}));
    EXPECT_EQ(examples[1].inputs, "Say where it is.\n\nthe\nbird");
    EXPECT_TRUE(examples[1].references.empty());
    EXPECT_EQ(examples[1].where, file + ":10");
  }
  SourceConfig settings = config(path);
  settings.cluster = "mine";
  settings.field_map = {{"inputs", "input"}, {"rationale", "Definition"}};
  const Example mapped = read(settings).at(0);
  EXPECT_EQ(mapped.cluster, "mine");
  EXPECT_EQ(mapped.inputs, "the \"ship\"");
  EXPECT_EQ(mapped.rationale, "Say where it is.");
  EXPECT_EQ(mapped.fields["ex_output"], "home");
}

TEST_F(SourceTest, BadTaskFilesAreNamed) {
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = kTaskFile;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  SourceConfig settings;
  settings.format = "natural-instructions";
  for (const auto& [content, where, part] :
       std::vector<std::tuple<std::string, std::string, std::string>>{
           {"", ":1", "expected '{'"},
           {"{}", "", "no 'Definition'"},
           {R"({"Definition": "d"})", "", "no 'Instances'"},
           {R"({"Definition": "d", "Instances": 3})", ":1", "no list"},
           {kTaskFile + "x", ":14", "expected the end of the file"},
           {with("\"Definition\": [", "\"Definition\": [["), ":", ""},
           {kTaskFile.substr(0, kTaskFile.size() / 2), ":", "the file ends inside"},
           {with("{\"id\": \"i-2\", \"input\"", "{\"id\": \"i-2\", \"inputt\""), ":10",
            "no 'input'"},
           {with("\"in the air\"", "[]"), ":10", "'output' is empty"},
           {with("\"in the air\"", "3"), ":10", "'output' is number"},
           {with("\"the\\nbird\"", "{}"), ":10", "'input' is object"},
           {with("{\"id\": \"i-2\", \"input\": \"the\\nbird\", \"output\": \"in the air\"}", "7"),
            ":10", "the instance is number"},
           {with("[{\"input\": \"the cat\"", "[[], {\"input\": \"the cat\""), "",
            "'Positive Examples[0]' is array"},
       }) {
    settings.path = put("t.json", content);
    try {
      read(settings);
      FAIL() << content;
    } catch (const Error& error) {
      EXPECT_CONTAINS(std::string(error.what()), settings.path + where);
      EXPECT_CONTAINS(std::string(error.what()), part);
    }
  }
}

TEST_F(SourceTest, AFolderMayHoldEveryFormat) {
  put("d/a.jsonl", line_of(1));
  put_gz("d/b.jsonl.gz", line_of(2));
  put("d/c.csv", "inputs,targets\nx,y\n");
  put("d/e.tsv", "inputs\ttargets\nx\ty\n");
  put("d/sub/task9.json", kTaskFile);
  put("d/prompts.json", "{\"Definition\": 3}");
  put("d/README.md", "no data");
  const auto examples = read(config(folder_ / "d/"));
  ASSERT_EQ(examples.size(), 6u);
  std::set<std::string> tasks;
  for (const Example& example : examples) tasks.insert(example.task);
  EXPECT_EQ(tasks, (std::set<std::string>{"a", "b", "c", "e", "task9"}));
  SourceConfig settings = config(folder_ / "d");
  settings.format = "csv";
  EXPECT_EQ(read(settings).size(), 1u);
  settings.format = "parquet";
  expect_error(ErrorCode::NotFound, "no parquet files", [&] { read(settings); });
  settings.format = "jsonl2";
  expect_error(ErrorCode::NotFound, "did you mean 'jsonl'?", [&] { read(settings); });
}

TEST_F(SourceTest, TheFormatIsToldByContentWhereTheNameDoesNot) {
  EXPECT_EQ(read(config(put("data", line_of(3)))).at(0).targets, "answer 3");
  expect_error(ErrorCode::InvalidArgument,
               "format =", [&] { read(config(put("data.bin", "what?"))); });
  error_of(ErrorCode::NotFound, [&] { read(config(folder_ / "missing")); });
}

TEST_F(SourceTest, BadLinesStopOrAreCountedAndNamed) {
  std::string content;
  for (int i = 0; i < 30; ++i) content += i % 2 ? line_of(i) : "{\"inputs\": 3}\n";
  const std::string path = put("a.jsonl", content + "{\n[1]\n");
  const std::string message = error_of(ErrorCode::InvalidArgument, [&] { read(config(path)); });
  EXPECT_CONTAINS(message, path + ":1: ");
  EXPECT_TRUE(stores().empty());

  SourceConfig settings = config(path);
  settings.on_error = OnError::Skip;
  for (int opening = 0; opening < 2; ++opening) {  // the second reads the store
    warnings_.clear();
    SourceReport report;
    EXPECT_EQ(read(settings, &report).size(), 15u);
    EXPECT_EQ(report.num_examples, 15);
    EXPECT_EQ(report.num_skipped, 17);
    ASSERT_EQ(report.skipped.size(), 17u);
    EXPECT_CONTAINS(report.skipped[0], path + ":1: ");
    EXPECT_CONTAINS(report.skipped[0], "'inputs' is number");
    EXPECT_CONTAINS(report.skipped[15], path + ":31: ");
    EXPECT_CONTAINS(report.skipped[16], "array, expected an object");
    ASSERT_EQ(warnings_.size(), 11u);
    EXPECT_CONTAINS(warnings_[0], path + ":1: ");
    EXPECT_CONTAINS(warnings_[10], "17 rows");
  }
  settings.path = put("b.jsonl", "{}\n{}\n");
  expect_error(ErrorCode::InvalidArgument, "all 2 rows were skipped", [&] { read(settings); });
  settings.path = put("c.jsonl", "\n");
  expect_error(ErrorCode::InvalidArgument, "has no examples", [&] { read(settings); });
}

TEST_F(SourceTest, ADamagedFileIsNoBadLine) {
  const std::string path = put_gz("a.jsonl.gz", line_of(1) + line_of(2));
  const std::string whole = get_file(path);
  put_file(path, whole.substr(0, whole.size() - 12));
  SourceConfig settings = config(path);
  settings.on_error = OnError::Skip;
  error_of(ErrorCode::CorruptFile, [&] { read(settings); });
}

TEST_F(SourceTest, AChangedFileOrSettingIsAnotherStore) {
  const std::string path = put("a.jsonl", line_of(1));
  const std::string before = open_sources(path, 1)[0]->content_hash();
  EXPECT_EQ(open_sources(path, 2)[0]->content_hash(), before);
  EXPECT_FALSE(before.empty());
  put("a.jsonl", line_of(2));
  EXPECT_EQ(read(config(path)).at(0).id, "e2");
  EXPECT_NE(open_sources(path, 1)[0]->content_hash(), before);
  put("a.jsonl", line_of(1));
  EXPECT_EQ(read(config(path)).at(0).id, "e1");
  EXPECT_EQ(stores().size(), 2u);
  SourceConfig other = config(path);
  other.task = "t";
  EXPECT_EQ(read(other).at(0).task, "t");
  EXPECT_EQ(stores().size(), 3u);
  // Content names it, not the place.
  fs::create_directories(folder_ / "elsewhere");
  fs::rename(path, folder_ / "elsewhere/a.jsonl");
  EXPECT_EQ(read(config(folder_ / "elsewhere/a.jsonl")).at(0).where,
            folder_ / "elsewhere/a.jsonl:1");
  EXPECT_EQ(stores().size(), 3u);
}

TEST_F(SourceTest, ADamagedStoreIsMadeAnew) {
  std::string content;
  for (int i = 0; i < 200; ++i) content += line_of(i);
  const std::string path = put("a.jsonl", content);
  (void)read(config(path));
  ASSERT_EQ(stores().size(), 1u);
  for (const std::string file : {"records", "index", "store.json"}) {
    const std::string damaged = stores()[0] / file;
    const std::string whole = get_file(damaged);
    for (const std::string& bad :
         {whole.substr(0, whole.size() - 1), whole + "x", std::string(), std::string("missing"),
          std::string(whole).replace(whole.size() / 2, 1, 1,
                                     static_cast<char>(whole[whole.size() / 2] ^ 1))}) {
      if (bad == "missing")
        fs::remove(damaged);
      else
        put_file(damaged, bad);
      warnings_.clear();
      const auto examples = read(config(path));
      ASSERT_EQ(examples.size(), 200u);
      EXPECT_EQ(examples[7].targets, "answer 7");
      EXPECT_EQ(get_file(damaged), whole) << file;
      ASSERT_EQ(warnings_.size(), 1u);
      EXPECT_CONTAINS(warnings_[0], "damaged");
    }
  }
}

TEST_F(SourceTest, ARecordDamagedBehindTheOpeningIsNoticed) {
  const std::string path = put("a.jsonl", line_of(1) + line_of(2));
  const Sources sources = open_sources(path, 1);
  const std::string records = stores().at(0) / "records";
  {
    std::fstream file(records, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(20);
    file.put('~');
  }
  expect_error(ErrorCode::CorruptFile, "damaged", [&] { (void)sources[0]->get(0); });
  EXPECT_EQ(read(config(path)).at(0).targets, "answer 1");
}

TEST_F(SourceTest, ProcessesMayOpenTheSameAtOnce) {
  std::string content;
  for (int i = 0; i < 20000; ++i) content += line_of(i, "t" + std::to_string(i % 3));
  const std::string path = put("a.jsonl", content);
  std::vector<pid_t> children;
  for (int c = 0; c < 4; ++c) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      int status = 1;
      try {
        const Sources sources = open_sources(path, 1);
        status = sources.size() == 3 && sources[1]->get(6000).id == "e18001" ? 0 : 2;
      } catch (...) {
      }
      _exit(status);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(stores().size(), 1u);
  // Threads of one process too.
  std::atomic<int> num_right{0};
  const std::string other = put("b.jsonl", content + line_of(20000, "t0"));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      const Sources sources = open_sources(other, 1);
      num_right += sources.size() == 3 && sources[0]->size() == 6668;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_right, 4);
}

TEST_F(SourceTest, ThreadsReadTheSameExamples) {
  std::string content;
  for (int i = 0; i < 1000; ++i) content += line_of(i);
  const Sources sources = open_sources(put("a.jsonl", content), 1);
  std::atomic<int> num_wrong{0};
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      RandomStream random(RandomKey(t, RandomPurpose::Generator));
      for (int n = 0; n < 2000; ++n) {
        const uint64_t i = random.below(1000);
        num_wrong += sources[0]->get(i).id != "e" + std::to_string(i);
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_wrong, 0);
}

TEST_F(SourceTest, APipeIsReadOnce) {
  const std::string pipe = folder_ / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  std::thread writer([&] { put_file(pipe, line_of(1) + line_of(2)); });
  const Sources sources = open_sources(pipe, 1);
  writer.join();
  EXPECT_EQ(sources.at(0)->get(1).id, "e2");
  EXPECT_EQ(sources[0]->content_hash(), "");
  EXPECT_TRUE(stores().empty());
}

TEST_F(SourceTest, ACacheThatCannotBeWrittenIsDoneWithout) {
  put("cache", "a file in the way");
  EXPECT_EQ(read(config(put("a.jsonl", line_of(5)))).at(0).id, "e5");
}

TEST_F(SourceTest, TheCacheShrinksFromTheLeastRecentlyUsed) {
  const std::string a = put("a.jsonl", line_of(1)), b = put("b.jsonl", line_of(2));
  (void)read(config(a));
  const fs::path first = stores().at(0);
  (void)read(config(b));
  EXPECT_EQ(shrink_cache(0), 0);  // used a moment ago
  ASSERT_EQ(stores().size(), 2u);
  const auto now = fs::file_time_type::clock::now();
  for (const fs::path& store : stores())
    fs::last_write_time(store, now - std::chrono::hours(store == first ? 5 : 3));
  int64_t larger = 0;
  for (const auto& file : fs::directory_iterator(first))
    larger += static_cast<int64_t>(file.file_size());
  EXPECT_EQ(shrink_cache(larger), larger);
  ASSERT_EQ(stores().size(), 1u);
  EXPECT_NE(stores()[0], first);
  // Use counts, not age.
  (void)read(config(b));
  EXPECT_EQ(shrink_cache(0), 0);
  setenv("FLANMOE_DATA_CACHE_GB", "lots", 1);
  expect_error(ErrorCode::InvalidArgument, "expected a number of gigabytes",
               [&] { (void)read(config(a)); });
  unsetenv("FLANMOE_DATA_CACHE_GB");
}

TEST_F(SourceTest, TheHashOfALargeFileIsRememberedUntilItChanges) {
  const std::string path = put("large", std::string(3 << 20, 'x'));
  const std::string hash = hash_file_once(path);
  EXPECT_EQ(hash, hash_file_once(path));
  put("large", std::string(3 << 20, 'y'));
  EXPECT_NE(hash, hash_file_once(path));
}

TEST_F(SourceTest, ParquetIsReadOrRefused) {
  const std::string path = put("a.parquet", "PAR1");
  if (arrow_version().empty())
    expect_error(ErrorCode::Unsupported, "FLANMOE_WITH_PARQUET", [&] { read(config(path)); });
  else
    expect_error(ErrorCode::CorruptFile, path, [&] { read(config(path)); });
}

TEST(OpenSources, BuiltinNames) {
  const auto all = open_sources("builtin:train", 1);
  std::set<std::string> clusters;
  for (const auto& source : all) {
    EXPECT_LT(source->size(), 0);
    for (const auto& held_out : builtin::held_out_clusters())
      EXPECT_NE(source->cluster(), held_out);
    EXPECT_EQ(source->get(0).task, source->task());
    EXPECT_EQ(source->get(0).split, "train");
    clusters.insert(source->cluster());
  }
  EXPECT_EQ(clusters.size(), 10u);
  ASSERT_EQ(open_sources("builtin:" + all[2]->task(), 1).size(), 1u);
  EXPECT_EQ(open_sources("builtin:" + all[2]->task(), 1)[0]->get(5).inputs, all[2]->get(5).inputs);
  EXPECT_NE(open_sources("builtin:" + all[2]->task(), 2)[0]->get(5).inputs, all[2]->get(5).inputs);
}

TEST(OpenSources, UnknownAndHeldOutNamesAreRefused) {
  try {
    open_sources("builtin:last_wrod", 1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::NotFound);
    EXPECT_NE(std::string(error.what()).find("last_word"), std::string::npos) << error.what();
  }
  try {
    open_sources("builtin:who_holds", 1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
  }
}

}  // namespace
}  // namespace flanmoe::data
