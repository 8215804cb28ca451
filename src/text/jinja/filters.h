// Jinja2's filters, and those that promptsource adds.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/syntax.h"

namespace flanmoe::text::jinja {

// Null where there is none of that name.
FilterFunction find_filter(std::string_view name);
std::vector<std::string> filter_names();

}  // namespace flanmoe::text::jinja
