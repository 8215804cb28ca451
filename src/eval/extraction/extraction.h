// The answer in a generated text: "... so there are 4 + 3 = 7 apples. The answer is 7." -> "7".
#pragma once

#include <string>
#include <vector>

namespace flanmoe::eval {

// Applies the rules one after the other, each to what the last one gave, and gives the text
// trimmed. A rule that finds nothing leaves the text as it is. No rules: the text, trimmed.
//
// Rules are names, with an argument behind a colon where they take one: "after:the answer is",
// "last-number", "letter", ... (extraction_rules()). Throws as check_extraction_rules.
//
// Chains of thought end in a marker: GSM8K, SVAMP, ASDiv and MGSM take {"after:The answer is",
// "last-number"} (MGSM with the marker of its language), MMLU and AQuA {"after:answer is",
// "letter"}, StrategyQA {"after:answer is", "yes-no"}, BBH {"after:answer is",
// "strip-full-stop"}. "before:Q:" in front cuts off a model that goes on with a question of its
// own. A reference that may be written in several ways ("1,000") goes through the same rule.
std::string extract_answer(const std::string& text, const std::vector<std::string>& rules);

// Throws NotFound with the nearest name for an unknown rule, InvalidArgument for a missing or an
// unwanted argument.
void check_extraction_rules(const std::vector<std::string>& rules);

struct ExtractionRule {
  std::string name, argument, help;  // argument: what it is called in help, empty: none
};
// Sorted by name.
std::vector<ExtractionRule> extraction_rules();

}  // namespace flanmoe::eval
