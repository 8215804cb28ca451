// The k most probable experts of every token.
#pragma once

#include "moe/router.h"

namespace flanmoe::moe {

// Config::top_k of them.
RouterKind top_k_router();
// Two, whatever top_k says.
RouterKind top_2_router();

}  // namespace flanmoe::moe
