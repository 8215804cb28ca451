// The answer in a generated text: "... so there are 4 + 3 = 7 apples. The answer is 7." -> "7".
#pragma once

#include <string>
#include <vector>

namespace flanmoe::eval {

// Applies the rules one after the other, each to what the last one gave, and gives the text
// trimmed. A rule that finds nothing leaves the text as it is. No rules: the text, trimmed.
//
// Rules are names, with an argument behind a colon where they take one: "after:the answer is",
// "last-number", "letter", ... (extraction_rules()). Throws InvalidArgument with the nearest name
// for an unknown rule, a missing or an unwanted argument.
std::string extract_answer(const std::string& text, const std::vector<std::string>& rules);

struct ExtractionRule {
  std::string name, argument, help;  // argument: what it is called in help, empty: none
};
std::vector<ExtractionRule> extraction_rules();

}  // namespace flanmoe::eval
