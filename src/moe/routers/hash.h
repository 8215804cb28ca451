// Hash routing (arXiv 2106.04426): top_k experts by a hash of token id and layer, of equal weight.
#pragma once

#include "moe/router.h"

namespace flanmoe::moe {

RouterKind hash_router();

}  // namespace flanmoe::moe
