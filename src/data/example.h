// One example as the JSONL schema has it, and its tokenised form.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace flanmoe::data {

struct Example {
  std::string id;    // unique within its source; "<file>:<line>" where the source has none
  std::string task;  // "" where the source has none
  std::string cluster;
  std::string split;  // "train", "validation", "test" or ""
  std::string inputs;
  std::string targets;
  std::vector<std::string> choices;           // empty where the example has none
  int64_t answer_index = -1;                  // with choices
  std::vector<std::string> references;        // all accepted answers; empty: `targets` alone
  std::map<std::string, std::string> fields;  // raw columns, for templates
  std::string template_name;
  std::string where;  // "file.jsonl:12", for messages
};

// Token ids, each list with </s> at its end.
struct TokenizedExample {
  uint64_t key = 0;  // identity for keyed noise: hash of source, id and epoch
  std::vector<int32_t> inputs;
  std::vector<int32_t> targets;
};

}  // namespace flanmoe::data
