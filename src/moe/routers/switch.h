// Switch routing (arXiv 2101.03961): every token goes to its most probable expert.
#pragma once

#include "moe/router.h"

namespace flanmoe::moe {

std::unique_ptr<Router> make_switch_router(const Config& config);

}  // namespace flanmoe::moe
