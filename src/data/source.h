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
  template <class Visitor>
  void visit(Visitor& v) {
    v("path", path, "file, folder or builtin:NAME");
    v("format", format, "auto, jsonl, csv, tsv, natural-instructions or parquet");
    v("task", task, "task of examples that name none");
    v("cluster", cluster, "cluster of examples that name none");
    v("field_map", field_map, "schema key or field = column of the raw table");
    v("on_error", on_error, "stop at a bad line, or skip it, count it and name it");
  }
};

// One Source a task named in the data, in the order in which the tasks first appear. `seed` is that
// of generated examples. Throws NotFound, CorruptFile, InvalidArgument naming file and line.
Sources open_sources(const SourceConfig& config, uint64_t seed);
// A path with every other setting at its default.
Sources open_sources(const std::string& path, uint64_t seed);

}  // namespace flanmoe::data
