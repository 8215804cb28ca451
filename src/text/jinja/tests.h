// Jinja2's tests: what stands behind `is`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/syntax.h"

namespace flanmoe::text::jinja {

// Null where there is none of that name.
TestFunction find_test(std::string_view name);
std::vector<std::string> test_names();

}  // namespace flanmoe::text::jinja
