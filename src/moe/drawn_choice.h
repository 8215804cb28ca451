// Routing by experts that are drawn by a key instead of being learned.
#pragma once

#include <vector>

#include "base/random.h"
#include "moe/token_choice.h"

namespace flanmoe::moe {

// k different experts, every set equally likely (a partial Fisher-Yates shuffle).
std::vector<int64_t> draw_distinct(const RandomKey& key, int64_t num_experts, int64_t k);

// Slots for experts that are given for every token, with weights 1/k and without losses.
ops::Routing route_given(const RouterInput& input, const Config& config, int64_t k,
                         const std::function<std::vector<int64_t>(int64_t token)>& experts);

}  // namespace flanmoe::moe
