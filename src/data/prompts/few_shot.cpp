#include "data/prompts/few_shot.h"

#include "text/template.h"

namespace flanmoe::data {

std::string compose_few_shot(const FewShotLayout& layout,
                             const std::vector<const Example*>& exemplars, const Example& query,
                             size_t first) {
  std::string prompt;
  for (size_t i = first; i < exemplars.size(); ++i)
    prompt += layout.inputs_prefix + exemplars[i]->inputs + layout.x_y_delimiter +
              layout.targets_prefix + exemplars[i]->targets + layout.example_separator;
  prompt += layout.inputs_prefix + query.inputs + layout.x_y_delimiter + layout.targets_prefix;
  prompt.erase(prompt.find_last_not_of(' ') + 1);
  if (layout.input_pattern == "{inputs}") return prompt + layout.final_suffix;
  const text::Template pattern(layout.input_pattern, "input_pattern");
  return pattern.render(
             [&](const std::string& name) -> std::optional<std::string> {
               if (name == "inputs") return prompt;
               if (!query.fields.contains(name)) return std::nullopt;
               return field_text(query.fields[name]);
             },
             [&] {
               std::vector<std::string> names = {"inputs"};
               for (const auto& [name, value] : query.fields.items()) names.push_back(name);
               return names;
             }) +
         layout.final_suffix;
}

size_t prune_exemplars(const text::Tokenizer& tokenizer, const FewShotLayout& layout,
                       const std::vector<const Example*>& exemplars, const Example& query,
                       int64_t max_tokens) {
  const auto fits = [&](size_t first) {
    const std::string text = compose_few_shot(layout, exemplars, query, first);
    return static_cast<int64_t>(tokenizer.encode(text).size()) <= max_tokens;
  };
  if (exemplars.empty() || fits(0)) return 0;  // as most do
  size_t low = 1, high = exemplars.size();     // fits() is monotone: fewer exemplars, fewer tokens
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (fits(middle))
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

}  // namespace flanmoe::data
