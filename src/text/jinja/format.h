// Python's two ways of formatting.
#pragma once

#include <string_view>

#include "text/jinja/runtime.h"

namespace flanmoe::text::jinja {

// `text % values`: a tuple is a list of values, a dict gives %(name)s, anything else is one value.
Value format_percent(Runtime& runtime, std::string_view text, const Value& values);
// text.format(...).
Value format_braces(Runtime& runtime, std::string_view text, const Arguments& arguments);

}  // namespace flanmoe::text::jinja
