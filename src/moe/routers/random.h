// Random routing, a baseline: top_k experts drawn evenly, of equal weight. In evaluation the draw
// hangs on token id, position and layer only.
#pragma once

#include "moe/router.h"

namespace flanmoe::moe {

RouterKind random_router();

}  // namespace flanmoe::moe
