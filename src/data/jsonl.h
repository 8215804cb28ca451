// JSONL (optionally .gz) in the schema of DESIGN.md: inputs, targets, and where they apply id,
// task, choices, answer_index, references, ...
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "data/example.h"

namespace flanmoe::data {

// `requires_targets` = false accepts lines with `inputs` alone (generation).
// Throws CorruptFile "file:line: ..." where the line is not JSON or not an object, InvalidArgument
// where a field is missing or of the wrong type (answer_index out of range included). Unknown keys
// are accepted (the schema has more than we use).
Example parse_example(const Json& line, const std::string& where, bool requires_targets = true);

// Every line of a file ("-": standard input), or of every *.jsonl and *.jsonl.gz of a folder in
// sorted order. Blank lines are skipped.
void for_each_example(const std::string& path, const std::function<void(Example&&)>& visit,
                      bool requires_targets = true);
std::vector<Example> load_examples(const std::string& path, bool requires_targets = true);
Json to_json(const Example& example);

}  // namespace flanmoe::data
