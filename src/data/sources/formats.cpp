#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "base/nearest.h"
#include "data/sources/format.h"

namespace flanmoe::data {
namespace {

auto ends_in(const std::string& suffix) {
  return [suffix](const std::string& path) {
    return has_suffix(path, suffix) || has_suffix(path, suffix + ".gz");
  };
}

bool is_natural_instructions(const std::string& path) {
  return ends_in(".json")(path) && looks_like_natural_instructions(path);
}

bool is_parquet(const std::string& path) {
  return has_suffix(path, ".parquet");
}

}  // namespace

const std::vector<Format>& formats() {
  static const std::vector<Format> all = {
      {"jsonl", ends_in(".jsonl"), open_jsonl, false},
      {"csv", ends_in(".csv"), [](const auto& path) { return open_delimited(path, ',', true); },
       true},
      {"tsv", ends_in(".tsv"), [](const auto& path) { return open_delimited(path, '\t', true); },
       true},
      {"tsv-unquoted", [](const std::string&) { return false; },
       [](const auto& path) { return open_delimited(path, '\t', false); }, true},
      {"natural-instructions", is_natural_instructions, open_natural_instructions, false},
      {"parquet", is_parquet, open_parquet, false},
  };
  return all;
}

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const Format& format : formats()) names.push_back(format.name);
  return names;
}

const Format& find_format(const std::string& name) {
  for (const Format& format : formats())
    if (format.name == name) return format;
  fail(ErrorCode::NotFound, "[data] unknown format '{}'{}", name, suggestion(name, format_names()));
}

const Format* recognise_format(const std::string& path) {
  for (const Format& format : formats())
    if (format.matches(path)) return &format;
  return nullptr;
}

const Format* recognise_content(const std::string& path) {
  LineReader lines(path);
  for (std::string line; lines.next(line);) {
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    if (line.starts_with("PAR1")) return &find_format("parquet");
    try {
      return parse_json(line, path).is_object() ? &find_format("jsonl") : nullptr;
    } catch (const Error&) {
      return nullptr;
    }
  }
  return nullptr;
}

bool has_suffix(const std::string& text, const std::string& suffix) {
  return text.size() > suffix.size() && text.ends_with(suffix);
}

std::string stem_of(const std::string& path) {
  if (path == "-") return "stdin";
  std::string name = std::filesystem::path(path).filename().string();
  for (const std::string suffix : {".gz", ".jsonl", ".csv", ".tsv", ".json", ".parquet"})
    if (has_suffix(name, suffix)) name.resize(name.size() - suffix.size());
  return name;
}

}  // namespace flanmoe::data
