// Choosing sites by pattern.
#pragma once

#include <string>
#include <vector>

#include "nn/delta.h"

namespace flanmoe::peft {

// The sites of which a pattern is the name or ends the name behind a dot (as `peft` matches
// target_modules), or in whose name /regex/ (ECMAScript) is found; in the order of `sites`. Throws
// InvalidConfig naming `place` where a pattern matches nothing, with the nearest names.
std::vector<const nn::Site*> choose_sites(const nn::Sites& sites,
                                          const std::vector<std::string>& patterns,
                                          const std::string& place);

}  // namespace flanmoe::peft
