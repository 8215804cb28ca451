// Methods of Python's str, list, dict and of what iterates.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/runtime.h"

namespace flanmoe::text::jinja {

// The method bound to `self`; nothing where its kind has no such method.
std::optional<Value> find_method(const Value& self, std::string_view name);
std::vector<std::string> method_names(const Value& self);

}  // namespace flanmoe::text::jinja
