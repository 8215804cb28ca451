// Slots of an expert.
#pragma once

#include <cstdint>

#include "moe/router.h"

namespace flanmoe::moe {

// For a group of `num_tokens` tokens with k choices each; 0: no limit. By Config::capacity_rule,
// rounded by capacity_rounding (a product within 1e-9 of an integer counts as it), at least
// min_expert_capacity (facts.md item 92).
int64_t compute_capacity(const Config& config, int64_t k, int64_t num_tokens, bool is_training);

// Tokens of each group [G].
std::vector<int64_t> count_group_sizes(const RouterInput& input);

}  // namespace flanmoe::moe
