// Top-2 routing (GShard, arXiv 2006.16668, with second policy "all"; ST-MoE, arXiv 2202.08906):
// every token goes to its two most probable experts.
#pragma once

#include "moe/router.h"

namespace flanmoe::moe {

std::unique_ptr<Router> make_top_2_router(const Config& config);

}  // namespace flanmoe::moe
