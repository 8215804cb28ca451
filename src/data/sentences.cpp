#include "data/sentences.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/nearest.h"
#include "data/jsonl.h"
#include "data/source.h"
#include "data/sources/format.h"
#include "data/text_file.h"

namespace flanmoe::data {
namespace {

void visit_lines(const std::string& path, const std::function<void(std::string_view text)>& visit) {
  LineReader lines(path);
  for (std::string line; lines.next(line);) visit(line);
}

void visit_jsonl(const std::string& path, const std::function<void(std::string_view text)>& visit) {
  LineReader lines(path);
  for (std::string line; lines.next(line);) {
    if (is_blank(line)) continue;
    const Json json = parse_json(line, lines.where());
    if (!json.is_object())
      fail(ErrorCode::CorruptFile, "{}: [data] the line is {}, expected an object", lines.where(),
           json.type_name());
    std::vector<std::string> keys;
    bool is_found = false;
    for (const auto& [key, value] : json.items()) {
      keys.push_back(key);
      if ((key != "text" && key != "inputs" && key != "targets") || value.is_null()) continue;
      if (!value.is_string())
        fail(ErrorCode::InvalidArgument, "{}: [data] '{}' is {}, expected a string", lines.where(),
             key, value.type_name());
      visit(value.get_ref<const std::string&>());
      is_found = true;
    }
    if (!is_found)
      fail(ErrorCode::InvalidArgument, "{}: [data] the line has none of text, inputs and targets{}",
           lines.where(), suggestion("text", keys));
  }
}

void visit_file(const std::string& path, const std::function<void(std::string_view text)>& visit) {
  if (is_named(path, ".jsonl")) return visit_jsonl(path, visit);
  if (path != "-" && recognise_format(path)) {
    for (const auto& source : open_sources(path, 0))
      for (int64_t i = 0; i < source->size(); ++i) {
        const Example example = source->get(static_cast<uint64_t>(i));
        visit(example.inputs);
        visit(example.targets);
      }
    return;
  }
  visit_lines(path, visit);
}

}  // namespace

void for_each_text(const std::string& path,
                   const std::function<void(std::string_view text)>& visit) {
  if (path == "-" || !is_folder(path)) return visit_file(path, visit);
  bool is_empty = true;
  for (const std::string& file : list_files(path)) {
    if (!is_named(file, ".txt") && !recognise_format(file)) continue;
    is_empty = false;
    visit_file(file, visit);
  }
  if (is_empty)
    fail(ErrorCode::NotFound, "[data] the folder {} has no .txt files and none of examples", path);
}

SentenceSample::SentenceSample(int64_t max_sentences, uint64_t seed)
    : max_sentences_(static_cast<uint64_t>(max_sentences)),
      key_(RandomKey(seed, RandomPurpose::Sampling).fold("sentences")) {
  if (max_sentences < 0)
    fail(ErrorCode::InvalidArgument, "[vocabulary] max_sentences is {}, expected 0 (all) or more",
         max_sentences);
}

void SentenceSample::add(std::string_view text) {
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line.find_first_not_of(" \t\r\f\v") == std::string_view::npos) continue;
    const uint64_t number = num_seen_++;
    if (max_sentences_ == 0 || number < max_sentences_) {
      sentences_.emplace_back(line);
    } else if (const uint64_t place = key_.below(number + 1, number); place < max_sentences_) {
      sentences_[place] = line;
    }
  }
}

}  // namespace flanmoe::data
