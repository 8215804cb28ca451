// ST-MoE (arXiv 2202.08906): top-2 with normalised gates, balance loss and z-loss.
#pragma once

#include "moe/router.h"

namespace flanmoe::moe {

RouterKind st_moe_router();

}  // namespace flanmoe::moe
