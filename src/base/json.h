// JSON as we read and write it: key order is kept, so that the same input gives the same bytes.
#pragma once

#include <nlohmann/json.hpp>

#include <string>

#include "base/json_fwd.h"

namespace flanmoe {

// `where` is put before the message ("file.jsonl:12"). Throws CorruptFile; 256 levels at most.
Json parse_json(std::string_view text, const std::string& where);
Json load_json(const std::string& path);

// read(); a missing key or a wrong type in a document of ours is a damaged file. Throws CorruptFile
// with `where` before the message.
[[noreturn]] void fail_field(const std::string& where, const nlohmann::json::exception& error);
template <class Read>
auto read_fields(const std::string& where, const Read& read) {
  try {
    return read();
  } catch (const nlohmann::json::exception& error) {
    fail_field(where, error);
  }
}

// Dotted path of the first key in which two documents differ; "" where they are equal. `path` is
// put before it.
std::string find_difference(const Json& a, const Json& b, const std::string& path = {});
// The value at such a path as text; "not set" where there is none.
std::string value_text(const Json& document, const std::string& path);

}  // namespace flanmoe
