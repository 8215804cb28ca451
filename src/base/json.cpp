#include "base/json.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"

namespace flanmoe {

namespace {

constexpr size_t kMaxMessage = 300;
// What walks a document later does so by recursion.
constexpr int kMaxDepth = 256;

// Without nlohmann's "[json.exception.parse_error.101] ", and short even where the text around is
// not.
std::string shorten(std::string message) {
  if (const size_t end = message.find("] "); message.starts_with("[json") && end != message.npos)
    message.erase(0, end + 2);
  if (message.size() > kMaxMessage) {
    size_t end = kMaxMessage;
    while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xC0) == 0x80) --end;
    message.resize(end);
    message += "...";
  }
  return message;
}

// How deep brackets and braces nest, outside strings.
int nesting_depth(std::string_view text) {
  int depth = 0, deepest = 0;
  bool is_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        is_string = false;
    } else if (c == '"') {
      is_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where) {
  if (nesting_depth(text) > kMaxDepth)
    fail(ErrorCode::CorruptFile, "{}: lists and objects nest deeper than {} levels", where,
         kMaxDepth);
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorCode::CorruptFile, "{}: {}", where, shorten(error.what()));
  }
}

void fail_field(const std::string& where, const nlohmann::json::exception& error) {
  fail(ErrorCode::CorruptFile, "{}: {}", where, error.what());
}

Json load_json(const std::string& path) {
  return parse_json(read_file(path), path);
}

std::string find_difference(const Json& a, const Json& b, const std::string& path) {
  if (!a.is_object() || !b.is_object()) return a == b ? "" : path;
  const auto below = [&](const std::string& key) { return path.empty() ? key : path + "." + key; };
  for (const auto& [key, value] : a.items()) {
    if (!b.contains(key)) return below(key);
    const std::string difference = find_difference(value, b.at(key), below(key));
    if (!difference.empty()) return difference;
  }
  for (const auto& [key, value] : b.items())
    if (!a.contains(key)) return below(key);
  return {};
}

std::string value_text(const Json& document, const std::string& path) {
  const Json* value = &document;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    const std::string key = path.substr(begin, end - begin);
    if (!value->contains(key)) return "not set";
    value = &value->at(key);
    begin = end + 1;
  }
  return value->dump();
}

}  // namespace flanmoe
