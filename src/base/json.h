// JSON as we read and write it: key order is kept, so that the same input gives the same bytes.
#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace flanmoe {

using Json = nlohmann::ordered_json;

// `where` is put before the message ("file.jsonl:12"). Throws CorruptFile.
Json parse_json(std::string_view text, const std::string& where);
Json load_json(const std::string& path);

}  // namespace flanmoe
