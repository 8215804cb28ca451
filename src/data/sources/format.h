// File formats of examples. A new one is a file with a RowReader and a line in formats.cpp.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace flanmoe::data {

// A row of a table, a line or an instance.
struct Row {
  Json columns;                // an object; untouched where there is an error
  int64_t line = 0;            // where it starts, from 1; the number of the row in a binary file
  std::optional<Error> error;  // the row cannot be read, those behind it can
};

// What all rows of a file have in common.
struct FileTraits {
  Json fields = Json::object();  // come before the row's own
  std::string inputs_prefix;     // stands before the `inputs` of every row
  std::string cluster;           // where neither row nor configuration names one
  std::string lang;              // likewise
};

class RowReader {
 public:
  virtual ~RowReader() = default;
  virtual FileTraits traits() const { return {}; }
  // Columns that every row has; empty where each row has its own.
  virtual std::vector<std::string> columns() const { return {}; }
  // False at the end. Throws where nothing behind can be read (CorruptFile, Io).
  virtual bool next(Row& row) = 0;
};

struct Format {
  std::string name;
  // Whether the file is one of these, by its name and, where that is not enough, its content.
  std::function<bool(const std::string& path)> matches;
  std::function<std::unique_ptr<RowReader>(const std::string& path)> open;
  // Columns are text: lists and numbers of the schema are read out of it.
  bool is_text = false;
};

// jsonl, csv, tsv, tsv-unquoted, natural-instructions, parquet.
const std::vector<Format>& formats();
std::vector<std::string> format_names();
// Throws NotFound.
const Format& find_format(const std::string& name);
// By the name of the file (for .json by the content too); null where it is none of ours.
const Format* recognise_format(const std::string& path);
// By the first bytes, for a file whose name tells nothing.
const Format* recognise_content(const std::string& path);

std::unique_ptr<RowReader> open_jsonl(const std::string& path);
// `separator` ',' or '\t'.
std::unique_ptr<RowReader> open_delimited(const std::string& path, char separator, bool has_quotes);
std::unique_ptr<RowReader> open_natural_instructions(const std::string& path);
// The same from the text of a file.
std::unique_ptr<RowReader> read_natural_instructions(std::string text, const std::string& path);
bool looks_like_natural_instructions(const std::string& path);
// Throws Unsupported in a build without Arrow.
std::unique_ptr<RowReader> open_parquet(const std::string& path);
// Version of Arrow; "" in a build without it.
std::string arrow_version();

// "a/b.jsonl.gz" -> "b".
std::string stem_of(const std::string& path);
bool has_suffix(const std::string& text, const std::string& suffix);

}  // namespace flanmoe::data
