// Expert choice (arXiv 2202.09368): every expert takes the tokens of a group that it is most
// probable for. A token may be taken by none or by many.
//
// A choice among all tokens of a group looks at later ones. In a causal stack that is what training
// does; outside of training every token there goes to its own round(eval_capacity_factor) most
// probable experts, without a limit: as many as expert choice gives a token on average, and nothing
// but the token itself decides.
#pragma once

#include "moe/router.h"

namespace flanmoe::moe {

RouterKind expert_choice_router();

}  // namespace flanmoe::moe
