// What all routers share in which tokens choose experts.
#pragma once

#include "moe/router.h"

namespace flanmoe::moe {

// Every token asks for its `num_choices` most probable experts. Slots go to all first choices in
// token order before all second choices (facts.md item 95); a request past the capacity is dropped.
// Weights are raw or normalised over the choices before dropping (items 97). Losses are the
// load-balance loss over first choices and the z-loss.
ops::Routing route_token_choice(const RouterInput& input, const Config& config,
                                int64_t num_choices);

}  // namespace flanmoe::moe
