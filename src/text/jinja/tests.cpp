#include "text/jinja/tests.h"

#include <cmath>

#include "text/jinja/filters.h"
#include "text/jinja/operators.h"
#include "text/jinja/runtime.h"
#include "text/jinja/text_functions.h"

namespace flanmoe::text::jinja {
namespace {

bool has_no_arguments(const Arguments& arguments) {
  arguments.expect_none("a test");
  return true;
}

template <bool (*is)(const Value&)>
bool ask(Runtime&, const Value& value, const Arguments& arguments) {
  return has_no_arguments(arguments) && is(value);
}

template <Operator op>
bool compare_with(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return compare(runtime, op, value, arguments.bind("a comparison", {"other"}, 1)[0]);
}

bool is_boolean(const Value& value) {
  return value.as_bool() != nullptr;
}
bool is_callable(const Value& value) {
  return value.as_object() && value.type_name() != "Namespace";
}
bool is_defined(const Value& value) {
  return !value.is_undefined();
}
bool is_undefined(const Value& value) {
  return value.is_undefined();
}
bool is_false(const Value& value) {
  return value.as_bool() && !*value.as_bool();
}
bool is_true_constant(const Value& value) {
  return value.as_bool() && *value.as_bool();
}
bool is_float(const Value& value) {
  return value.as_float() != nullptr;
}
bool is_integer(const Value& value) {
  return value.as_integer() && !value.as_bool();
}
bool is_number(const Value& value) {
  return value.as_number().has_value();
}
bool is_mapping(const Value& value) {
  return value.as_dict() != nullptr;
}
bool is_none(const Value& value) {
  return value.is_none();
}
bool is_sequence(const Value& value) {
  return value.as_text() || value.as_list() || value.as_tuple() || value.as_dict() ||
         value.as_range() || value.is_undefined();
}
bool is_string(const Value& value) {
  return value.as_text() != nullptr;
}

template <bool (*is)(std::string_view)>
bool ask_text(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return has_no_arguments(arguments) && is(runtime.text(value));
}

bool has_remainder(Runtime& runtime, const Value& value, int64_t divisor, int64_t remainder) {
  return are_equal(apply_binary(runtime, Operator::Modulo, value, Value(divisor)), Value(remainder),
                   runtime.budget());
}
bool is_even(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return has_no_arguments(arguments) && has_remainder(runtime, value, 2, 0);
}
bool is_odd(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return has_no_arguments(arguments) && has_remainder(runtime, value, 2, 1);
}
bool is_divisible_by(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("divisibleby", {"num"}, 1);
  return are_equal(apply_binary(runtime, Operator::Modulo, value, bound[0]), Value(int64_t{0}),
                   runtime.budget());
}

bool is_in(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return contains(arguments.bind("in", {"seq"}, 1)[0], value, runtime.budget());
}
bool is_same_as(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return is_same(value, arguments.bind("sameas", {"other"}, 1)[0], runtime.budget());
}
bool is_filter_name(Runtime&, const Value& value, const Arguments& arguments) {
  return has_no_arguments(arguments) && value.as_text() && find_filter(*value.as_text());
}
bool is_test_name(Runtime&, const Value& value, const Arguments& arguments) {
  return has_no_arguments(arguments) && value.as_text() && find_test(*value.as_text());
}

struct TestEntry {
  std::string_view name;
  TestFunction test;
};
constexpr TestEntry kTests[] = {
    {"!=", compare_with<Operator::NotEqual>},
    {"<", compare_with<Operator::Less>},
    {"<=", compare_with<Operator::LessEqual>},
    {"==", compare_with<Operator::Equal>},
    {">", compare_with<Operator::Greater>},
    {">=", compare_with<Operator::GreaterEqual>},
    {"boolean", ask<is_boolean>},
    {"callable", ask<is_callable>},
    {"defined", ask<is_defined>},
    {"divisibleby", is_divisible_by},
    {"eq", compare_with<Operator::Equal>},
    {"equalto", compare_with<Operator::Equal>},
    {"even", is_even},
    {"false", ask<is_false>},
    {"filter", is_filter_name},
    {"float", ask<is_float>},
    {"ge", compare_with<Operator::GreaterEqual>},
    {"greaterthan", compare_with<Operator::Greater>},
    {"gt", compare_with<Operator::Greater>},
    {"in", is_in},
    {"integer", ask<is_integer>},
    {"iterable", ask<is_iterable>},
    {"le", compare_with<Operator::LessEqual>},
    {"lessthan", compare_with<Operator::Less>},
    {"lower", ask_text<is_lower_text>},
    {"lt", compare_with<Operator::Less>},
    {"mapping", ask<is_mapping>},
    {"ne", compare_with<Operator::NotEqual>},
    {"none", ask<is_none>},
    {"number", ask<is_number>},
    {"odd", is_odd},
    {"sameas", is_same_as},
    {"sequence", ask<is_sequence>},
    {"string", ask<is_string>},
    {"test", is_test_name},
    {"true", ask<is_true_constant>},
    {"undefined", ask<is_undefined>},
    {"upper", ask_text<is_upper_text>},
};

}  // namespace

TestFunction find_test(std::string_view name) {
  for (const TestEntry& entry : kTests)
    if (entry.name == name) return entry.test;
  return nullptr;
}

std::vector<std::string> test_names() {
  std::vector<std::string> names;
  for (const TestEntry& entry : kTests)
    if (entry.name[0] >= 'a') names.emplace_back(entry.name);
  return names;
}

}  // namespace flanmoe::text::jinja
