// All experts for every token, weighted by the softmax: the upper bound that the others save FLOPs
// against.
#pragma once

#include "moe/router.h"

namespace flanmoe::moe {

RouterKind dense_router();

}  // namespace flanmoe::moe
