// Where raw examples come from: one Source a task, whatever the file format.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/config.h"
#include "data/example.h"

namespace flanmoe::data {

// Examples of one task, in a fixed order. Safe to read from several threads.
class Source {
 public:
  virtual ~Source() = default;
  virtual std::string task() const = 0;
  virtual std::string cluster() const = 0;
  virtual int64_t size() const = 0;  // < 0: endless
  virtual Example get(uint64_t index) const = 0;
  // Changes when any example does; "" where there is none (generated examples). Names what is
  // cached of the source.
  virtual std::string content_hash() const { return ""; }
};

using Sources = std::vector<std::shared_ptr<const Source>>;

enum class OnError { Stop, Skip };

}  // namespace flanmoe::data

template <>
struct flanmoe::EnumNames<flanmoe::data::OnError> {
  static constexpr std::pair<data::OnError, std::string_view> values[] = {
      {data::OnError::Stop, "stop"}, {data::OnError::Skip, "skip"}};
};

namespace flanmoe::data {

struct SourceConfig {
  std::string path;             // file, folder or builtin:NAME
  std::string format = "auto";  // a kind of source, or auto: by the name of the file
  std::string task;             // name given to every example that has none of its own
  std::string cluster;          // likewise
  // Key of the schema (inputs, targets, choices, id, fields.NAME, ...) -> column of the raw table.
  std::map<std::string, std::string> field_map;
  OnError on_error = OnError::Stop;
  // Rows are raw fields for templates: inputs and targets may be missing, and are then empty.
  bool is_raw = false;
  template <class Visitor>
  void visit(Visitor& v) {
    v("path", path, "file, folder or builtin:NAME");
    v("format", format, "auto, jsonl, csv, tsv, tsv-unquoted, natural-instructions or parquet");
    v("task", task, "task of examples that name none");
    v("cluster", cluster, "cluster of examples that name none");
    v("field_map", field_map, "schema key or field = column of the raw table");
    v("on_error", on_error, "stop at a bad line, or skip it, count it and name it");
    v("is_raw", is_raw, "rows are fields for templates and need no inputs and targets");
  }
};

// What became of the rows of a SourceConfig.
struct SourceReport {
  int64_t num_examples = 0;  // -1: endless
  int64_t num_skipped = 0;
  std::vector<std::string> skipped;  // "file:line: reason" of the first 1000
};

// "a, b" -> {"a", "b"}; blanks around are dropped, empty parts too.
std::vector<std::string> split_specs(const std::string& specs);

// One Source a task named in the data, in the order in which the tasks first appear. `seed` is that
// of generated examples. Every example of a file or folder is used, whatever its split.
//
// Files are read once, in the order of their names, into a store in the cache (data/cache.h), keyed
// by their content and the settings; examples are read from there one by one. With a field map, and
// from tables (CSV, TSV, Parquet), every raw column is kept in `fields`; the columns named as keys
// of the schema, or mapped to them, become those. A mapped column may be a path ("answers.text");
// `choices` and `references` also take several columns with commas between. A list for `targets`
// gives the first as the target and all as references; with choices and answer_index alone the
// chosen one is the target.
//
// Throws NotFound, CorruptFile, InvalidArgument, InvalidConfig naming file, line, column and the
// nearest that exists. With on_error = skip the bad rows are counted and named in the log (the
// first 10) and in `report`; what ends a file early (damaged gzip, a broken Parquet or JSON file)
// still throws.
Sources open_sources(const SourceConfig& config, uint64_t seed, SourceReport* report = nullptr);
// A path with every other setting at its default.
Sources open_sources(const std::string& path, uint64_t seed);

}  // namespace flanmoe::data
