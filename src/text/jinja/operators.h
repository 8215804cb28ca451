// Python's operators, attributes and items.
#pragma once

#include <string_view>

#include "text/jinja/runtime.h"
#include "text/jinja/syntax.h"

namespace flanmoe::text::jinja {

// +, -, *, /, //, %, **. Throws Failure on operands that do not go together, on division by zero
// and where an integer does not fit into 64 bits.
Value apply_binary(Runtime& runtime, Operator op, const Value& a, const Value& b);
// The comparisons, `in` and `not in`.
bool compare(Runtime& runtime, Operator op, const Value& a, const Value& b);
Value negate(const Value& value);
Value plus(const Value& value);

// Python's int() and float() of a value; nothing where they raise TypeError or ValueError.
std::optional<int64_t> parse_integer(std::string_view text, int base = 10);
std::optional<double> parse_float(std::string_view text);

// `value.name`: a method or attribute, else the item of that name, else undefined.
Value get_attribute(Runtime& runtime, const Value& value, std::string_view name);
// `value[key]`: the item, else (of a text key) the attribute of that name, else undefined.
Value get_item(Runtime& runtime, const Value& value, const Value& key);
Value get_slice(Runtime& runtime, const Value& value, const Value& begin, const Value& end,
                const Value& step);
// "a.b.0" of the filters that take an attribute. Throws Failure where a part on the way is
// undefined.
Value get_path(Runtime& runtime, Value value, const Value& path);

}  // namespace flanmoe::text::jinja
