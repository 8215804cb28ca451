// GShard (arXiv 2006.16668): the most probable expert, and the second one where the second-expert
// policy says so (mesh-tf; facts.md item 98).
#pragma once

#include "moe/router.h"

namespace flanmoe::moe {

RouterKind gshard_router();

}  // namespace flanmoe::moe
