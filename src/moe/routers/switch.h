// Switch (arXiv 2101.03961): every token goes to its most probable expert.
#pragma once

#include "moe/router.h"

namespace flanmoe::moe {

RouterKind switch_router();

}  // namespace flanmoe::moe
