// Exemplars before a query, as FLAN 2022 and seqio compose them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/example.h"
#include "data/prompt.h"
#include "text/tokenizer.h"

namespace flanmoe::data {

// The inputs of a few-shot prompt (flan/v2/few_shot.py over seqio's fewshot_preprocessor):
// exemplars[first..] and query as `layout` says, the query up to its targets_prefix; trailing
// blanks (no newlines) removed; then input_pattern around it and final_suffix behind it.
// `exemplars` and `query` are rendered; fields of `query` fill input_pattern. Throws NotFound where
// it names a field that the query does not have.
std::string compose_few_shot(const FewShotLayout& layout,
                             const std::vector<const Example*>& exemplars, const Example& query,
                             size_t first = 0);

// The first exemplar that is kept so that the composed inputs have at most `max_tokens` tokens;
// exemplars.size() where none fits. Dropped from the front, as FLAN 2022 prunes.
size_t prune_exemplars(const text::Tokenizer& tokenizer, const FewShotLayout& layout,
                       const std::vector<const Example*>& exemplars, const Example& query,
                       int64_t max_tokens);

}  // namespace flanmoe::data
