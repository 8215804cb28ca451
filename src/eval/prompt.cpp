#include "eval/prompt.h"

#include <algorithm>

#include "base/error.h"
#include "data/prompts/few_shot.h"

namespace flanmoe::eval {

std::vector<const data::Example*> draw_exemplars(const std::vector<data::Example>& pool,
                                                 const data::Example& example, int64_t num_shots,
                                                 RandomKey key) {
  std::vector<const data::Example*> exemplars;
  if (num_shots == 0) return exemplars;
  const Permutation order(pool.size(), key);
  for (uint64_t i = 0; i < pool.size() && static_cast<int64_t>(exemplars.size()) < num_shots; ++i) {
    const data::Example& candidate = pool[order(i)];
    if (candidate.inputs != example.inputs) exemplars.push_back(&candidate);
  }
  if (static_cast<int64_t>(exemplars.size()) < num_shots)
    fail(ErrorCode::InvalidArgument,
         "[eval] num_shots is {}, but task '{}' has only {} other examples ({})", num_shots,
         example.task, exemplars.size(), example.where);
  return exemplars;
}

Prompt make_prompt(const text::Tokenizer& tokenizer,
                   const std::vector<const data::Example*>& exemplars, const std::string& inputs,
                   int64_t input_length) {
  FLANMOE_ASSERT(input_length >= 1);
  Prompt prompt;
  data::Example query;
  query.inputs = inputs;
  if (exemplars.empty()) {
    prompt.ids = tokenizer.encode(inputs);
  } else {
    // One token is for </s>.
    const size_t first = data::prune_exemplars(tokenizer, {}, exemplars, query, input_length - 1);
    prompt.ids = tokenizer.encode(data::compose_few_shot({}, exemplars, query, first));
    prompt.num_dropped_exemplars = static_cast<int64_t>(first);
  }
  if (static_cast<int64_t>(prompt.ids.size()) >= input_length) {
    prompt.is_truncated = true;
    prompt.ids.resize(static_cast<size_t>(input_length - 1));
  }
  prompt.ids.push_back(text::Tokenizer::kEosId);
  return prompt;
}

int64_t right_choice(const data::Example& example) {
  if (example.answer_index >= 0) return example.answer_index;
  const auto found = std::find(example.choices.begin(), example.choices.end(), example.targets);
  if (found == example.choices.end())
    fail(ErrorCode::InvalidArgument,
         "[eval] {}: the example has choices, but neither answer_index nor targets says which is "
         "right",
         example.where);
  return found - example.choices.begin();
}

std::vector<std::string> answer_candidates(const data::Example& example) {
  const auto letter = [](size_t index) {
    return std::string("(") + static_cast<char>('A' + index) + ")";
  };
  const auto answer = static_cast<size_t>(right_choice(example));
  if (example.choices.size() > 26 || example.targets == example.choices[answer] ||
      example.targets != letter(answer))
    return example.choices;
  std::vector<std::string> candidates;
  for (size_t i = 0; i < example.choices.size(); ++i) candidates.push_back(letter(i));
  return candidates;
}

}  // namespace flanmoe::eval
