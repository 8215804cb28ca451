#include "text/jinja/operators.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "base/nearest.h"
#include "text/jinja/format.h"
#include "text/jinja/methods.h"
#include "text/jinja/unicode.h"

namespace flanmoe::text::jinja {
namespace {

constexpr std::string_view symbol(Operator op) {
  constexpr std::string_view symbols[] = {
      "+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "in", "not in"};
  return symbols[static_cast<size_t>(op)];
}

[[noreturn]] void fail_operands(Operator op, const Value& a, const Value& b) {
  if (a.is_undefined()) a.fail_undefined();
  if (b.is_undefined()) b.fail_undefined();
  raise(ErrorCode::InvalidArgument, "'{}' does not go with '{}' and '{}'", symbol(op),
        a.type_name(), b.type_name());
}

[[noreturn]] void fail_overflow(Operator op) {
  raise(ErrorCode::InvalidArgument, "the result of '{}' does not fit into 64 bits", symbol(op));
}

[[noreturn]] void fail_zero() {
  raise(ErrorCode::InvalidArgument, "division by zero");
}

int64_t power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) && __builtin_mul_overflow(result, base, &result))
      fail_overflow(Operator::Power);
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) fail_overflow(Operator::Power);
  }
  return result;
}

Value apply_to_integers(Operator op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflows = false;
  switch (op) {
    case Operator::Add:
      overflows = __builtin_add_overflow(a, b, &result);
      break;
    case Operator::Subtract:
      overflows = __builtin_sub_overflow(a, b, &result);
      break;
    case Operator::Multiply:
      overflows = __builtin_mul_overflow(a, b, &result);
      break;
    case Operator::Divide:
      if (b == 0) fail_zero();
      // through long double: rounded once, as Python does
      return Value(static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b)));
    case Operator::FloorDivide:
    case Operator::Modulo: {
      if (b == 0) fail_zero();
      if (b == -1) {
        overflows = op == Operator::FloorDivide && __builtin_sub_overflow(int64_t{0}, a, &result);
        break;
      }
      const int64_t quotient = a / b, remainder = a % b;
      const bool is_rounded_up = remainder != 0 && (remainder < 0) != (b < 0);
      result = op == Operator::FloorDivide ? quotient - is_rounded_up
                                           : remainder + (is_rounded_up ? b : 0);
      break;
    }
    default:
      if (b >= 0) return Value(power(a, b));
      if (a == 0) fail_zero();
      return Value(std::pow(static_cast<double>(a), static_cast<double>(b)));
  }
  if (overflows) fail_overflow(op);
  return Value(result);
}

Value apply_to_floats(Operator op, double a, double b) {
  switch (op) {
    case Operator::Add:
      return Value(a + b);
    case Operator::Subtract:
      return Value(a - b);
    case Operator::Multiply:
      return Value(a * b);
    case Operator::Divide:
      if (b == 0) fail_zero();
      return Value(a / b);
    case Operator::FloorDivide:
    case Operator::Modulo: {
      if (b == 0) fail_zero();
      double remainder = std::fmod(a, b);
      double quotient = (a - remainder) / b;
      if (remainder != 0) {
        if ((b < 0) != (remainder < 0)) {
          remainder += b;
          quotient -= 1;
        }
      } else {
        remainder = std::copysign(0.0, b);
      }
      if (op == Operator::Modulo) return Value(remainder);
      if (quotient == 0) return Value(std::copysign(0.0, a / b));
      const double floored = std::floor(quotient);
      return Value(quotient - floored > 0.5 ? floored + 1 : floored);
    }
    default: {
      if (a == 0 && b < 0) fail_zero();
      const double result = std::pow(a, b);
      if (std::isnan(result) && !std::isnan(a) && !std::isnan(b))
        raise(ErrorCode::InvalidArgument, "a power of a negative number is not real");
      if (std::isinf(result) && !std::isinf(a) && !std::isinf(b)) fail_overflow(op);
      return Value(result);
    }
  }
}

// A text or sequence as often as `count` says.
Value repeat(Runtime& runtime, const Value& value, int64_t count) {
  const auto times = static_cast<uint64_t>(std::max<int64_t>(count, 0));
  const auto charge = [&](uint64_t size) {
    if (size == 0) return;
    if (times > std::numeric_limits<uint64_t>::max() / size)
      runtime.budget().charge_bytes(~uint64_t{0});
    runtime.budget().charge_bytes(times * size);
  };
  if (const std::string* text = value.as_text()) {
    charge(text->size());
    std::string result;
    if (!text->empty()) {
      result.reserve(text->size() * times);
      for (uint64_t i = 0; i < times; ++i) result += *text;
    }
    return Value(std::move(result));
  }
  const Sequence& sequence = *value.as_sequence();
  charge(sequence.items.size() * sizeof(Value));
  Values items;
  if (!sequence.items.empty())
    for (uint64_t i = 0; i < times; ++i)
      items.insert(items.end(), sequence.items.begin(), sequence.items.end());
  return sequence.kind == Sequence::Kind::List ? Value::list(std::move(items))
                                               : Value::tuple(std::move(items));
}

bool is_list_or_tuple(const Value& value) {
  return value.as_list() || value.as_tuple();
}

// Where a slice begins, its step and how many items it has (PySlice_AdjustIndices).
struct SliceRange {
  int64_t begin, step, count;
};
SliceRange resolve_slice(int64_t size, const Value& begin, const Value& end, const Value& step) {
  const auto read = [](const Value& bound, const char* name) -> std::optional<int64_t> {
    if (bound.is_none()) return std::nullopt;
    if (bound.is_undefined()) bound.fail_undefined();
    if (!bound.as_integer())
      raise(ErrorCode::InvalidArgument, "the {} of a slice has to be an integer, found '{}'", name,
            bound.type_name());
    return bound.as_integer();
  };
  const int64_t stride =
      std::max(read(step, "step").value_or(1), -std::numeric_limits<int64_t>::max());
  if (stride == 0) raise(ErrorCode::InvalidArgument, "the step of a slice cannot be 0");
  const auto place = [&](std::optional<int64_t> bound, int64_t otherwise) {
    if (!bound) return otherwise;
    const int64_t lowest = stride < 0 ? -1 : 0, highest = stride < 0 ? size - 1 : size;
    const int64_t at = *bound < 0 ? *bound + size : *bound;
    return std::clamp(at, lowest, highest);
  };
  const int64_t first = place(read(begin, "begin"), stride < 0 ? size - 1 : 0);
  const int64_t last = place(read(end, "end"), stride < 0 ? -1 : size);
  int64_t count = 0;
  if (stride > 0 && first < last) count = (last - first - 1) / stride + 1;
  if (stride < 0 && first > last) count = (first - last - 1) / -stride + 1;
  return {first, stride, count};
}

std::string no_attribute(const Value& value, std::string_view name) {
  std::vector<std::string> names;
  if (const Dict* dict = value.as_dict())
    for (const auto& entry : dict->entries)
      if (entry.first.as_text()) names.push_back(*entry.first.as_text());
  if (const Object* object = value.as_object()) names = object->attribute_names();
  if (names.empty()) names = method_names(value);
  return fmt::format("a '{}' has no '{}'{}", value.type_name(), name, suggestion(name, names));
}

std::optional<Value> find_attribute(Runtime& runtime, const Value& value, std::string_view name) {
  if (Object* object = value.as_object()) return object->attribute(runtime, name);
  if (const Sequence* sequence = value.as_sequence(); sequence && sequence->is_group) {
    if (name == "grouper") return sequence->items[0];
    if (name == "list") return sequence->items[1];
  }
  return find_method(value, name);
}

// Nothing where Python's value[key] raises.
std::optional<Value> find_item(Runtime& runtime, const Value& value, const Value& key) {
  if (const Dict* dict = value.as_dict()) {
    if (!is_hashable(key)) return std::nullopt;
    const Value* found = dict->find(key, runtime.budget());
    return found ? std::optional<Value>(*found) : std::nullopt;
  }
  const auto index = key.as_integer();
  if (!index) return std::nullopt;
  const auto place = [&](int64_t size) -> std::optional<int64_t> {
    const int64_t at = *index < 0 ? *index + size : *index;
    return at >= 0 && at < size ? std::optional<int64_t>(at) : std::nullopt;
  };
  if (const std::string* text = value.as_text()) {
    const auto at = place(static_cast<int64_t>(num_code_points(*text)));
    if (!at) return std::nullopt;
    return Value(slice_code_points(*text, static_cast<size_t>(*at), static_cast<size_t>(*at) + 1));
  }
  if (const Range* range = value.as_range()) {
    const auto at = place(range->size());
    return at ? std::optional<Value>(Value((*range)[*at])) : std::nullopt;
  }
  if (is_list_or_tuple(value)) {
    const Values& items = value.as_sequence()->items;
    const auto at = place(static_cast<int64_t>(items.size()));
    return at ? std::optional<Value>(items[static_cast<size_t>(*at)]) : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

Value apply_binary(Runtime& runtime, Operator op, const Value& a, const Value& b) {
  if (op == Operator::Modulo && a.as_text()) return format_percent(runtime, *a.as_text(), b);
  if (a.as_number() && b.as_number()) {
    if (a.as_float() || b.as_float()) return apply_to_floats(op, *a.as_number(), *b.as_number());
    return apply_to_integers(op, *a.as_integer(), *b.as_integer());
  }
  if (op == Operator::Add) {
    if (a.as_text() && b.as_text()) return runtime.make_text(*a.as_text() + *b.as_text());
    if (is_list_or_tuple(a) && is_list_or_tuple(b) &&
        a.as_sequence()->kind == b.as_sequence()->kind) {
      const Values &x = a.as_sequence()->items, &y = b.as_sequence()->items;
      runtime.budget().charge_bytes((x.size() + y.size()) * sizeof(Value));
      Values items = x;
      items.insert(items.end(), y.begin(), y.end());
      return a.as_list() ? Value::list(std::move(items)) : Value::tuple(std::move(items));
    }
  }
  if (op == Operator::Multiply) {
    if ((a.as_text() || is_list_or_tuple(a)) && b.as_integer())
      return repeat(runtime, a, *b.as_integer());
    if ((b.as_text() || is_list_or_tuple(b)) && a.as_integer())
      return repeat(runtime, b, *a.as_integer());
  }
  fail_operands(op, a, b);
}

bool compare(Runtime& runtime, Operator op, const Value& a, const Value& b) {
  Budget& budget = runtime.budget();
  budget.charge_steps(1);
  switch (op) {
    case Operator::Equal:
      return are_equal(a, b, budget);
    case Operator::NotEqual:
      return !are_equal(a, b, budget);
    case Operator::In:
      return contains(b, a, budget);
    case Operator::NotIn:
      return !contains(b, a, budget);
    case Operator::Less:
      return is_less(a, b, budget);
    case Operator::Greater:
      return is_less(b, a, budget);
    case Operator::LessEqual:
      return is_less(a, b, budget) || are_equal(a, b, budget);
    default:
      return is_less(b, a, budget) || are_equal(a, b, budget);
  }
}

Value negate(const Value& value) {
  if (const double* real = value.as_float()) return Value(-*real);
  if (const auto integer = value.as_integer())
    return apply_to_integers(Operator::Subtract, 0, *integer);
  if (value.is_undefined()) value.fail_undefined();
  raise(ErrorCode::InvalidArgument, "'-' does not go with '{}'", value.type_name());
}

Value plus(const Value& value) {
  if (value.as_float()) return value;
  if (const auto integer = value.as_integer()) return Value(*integer);
  if (value.is_undefined()) value.fail_undefined();
  raise(ErrorCode::InvalidArgument, "'+' does not go with '{}'", value.type_name());
}

// Digits of any script, single '_' between them.
static std::optional<std::string> plain_digits(std::string_view text) {
  std::string plain;
  char32_t before = U'_';
  const std::u32string code_points = decode(strip(text));
  for (size_t i = 0; i < code_points.size(); ++i) {
    const char32_t c = code_points[i];
    const int digit = decimal_value(c);
    if (c == U'_') {
      const bool is_between = decimal_value(before) >= 0 && i + 1 < code_points.size() &&
                              decimal_value(code_points[i + 1]) >= 0;
      if (!is_between) return std::nullopt;
    } else if (digit >= 0) {
      plain += static_cast<char>('0' + digit);
    } else if (c < 0x80) {
      plain += static_cast<char>(c);
    } else {
      return std::nullopt;
    }
    before = c;
  }
  return plain;
}

std::optional<int64_t> parse_integer(std::string_view text, int base) {
  if (base != 0 && (base < 2 || base > 36)) return std::nullopt;
  std::string digits;
  if (base == 10) {
    const auto plain = plain_digits(text);
    if (!plain) return std::nullopt;
    digits = *plain;
  } else {
    digits = std::string(strip(text));
  }
  bool is_negative = false;
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) {
    is_negative = digits[0] == '-';
    digits.erase(0, 1);
  }
  if (digits.size() > 2 && digits[0] == '0') {
    const char c = static_cast<char>(digits[1] | 0x20);
    const int prefix = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 0;
    if (prefix != 0 && (base == prefix || base == 0)) {
      digits.erase(0, 2);
      base = prefix;
    }
  }
  if (base == 0) base = 10;
  if (digits.empty() || digits[0] == '-' || digits[0] == '+') return std::nullopt;
  int64_t value = 0;
  const std::string signed_digits = (is_negative ? "-" : "") + digits;
  const char* end = signed_digits.data() + signed_digits.size();
  const auto result = std::from_chars(signed_digits.data(), end, value, base);
  if (result.ec == std::errc::result_out_of_range && result.ptr == end)
    raise(ErrorCode::InvalidArgument, "{} does not fit into 64 bits with a sign",
          signed_digits.substr(0, 40));
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return value;
}

std::optional<double> parse_float(std::string_view text) {
  const auto plain = plain_digits(text);
  if (!plain || plain->empty()) return std::nullopt;
  std::string_view rest = *plain;
  if (rest[0] == '-' || rest[0] == '+') rest.remove_prefix(1);
  const std::string word = to_lower(rest);
  const double sign = (*plain)[0] == '-' ? -1 : 1;
  if (word == "inf" || word == "infinity") return sign * std::numeric_limits<double>::infinity();
  if (word == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (rest.empty() || rest.find_first_not_of("0123456789.eE+-") != std::string_view::npos ||
      rest[0] == '-' || rest[0] == '+')
    return std::nullopt;
  const std::string digits(rest);
  char* end = nullptr;
  const double value = std::strtod(digits.c_str(), &end);
  if (end != digits.c_str() + digits.size()) return std::nullopt;
  return sign * value;
}

Value get_attribute(Runtime& runtime, const Value& value, std::string_view name) {
  if (value.is_undefined()) value.fail_undefined();
  if (auto found = find_attribute(runtime, value, name)) return *std::move(found);
  if (auto found = find_item(runtime, value, Value(name))) return *std::move(found);
  return Value::undefined(no_attribute(value, name));
}

Value get_item(Runtime& runtime, const Value& value, const Value& key) {
  if (value.is_undefined()) value.fail_undefined();
  if (auto found = find_item(runtime, value, key)) return *std::move(found);
  if (const std::string* name = key.as_text()) {
    if (auto found = find_attribute(runtime, value, *name)) return *std::move(found);
    return Value::undefined(no_attribute(value, *name));
  }
  std::string message =
      key.as_integer() ? fmt::format("a '{}' has no item {}", value.type_name(), *key.as_integer())
                       : fmt::format("a '{}' has no item of that key", value.type_name());
  return Value::undefined(std::move(message));
}

Value get_slice(Runtime& runtime, const Value& value, const Value& begin, const Value& end,
                const Value& step) {
  if (value.is_undefined()) value.fail_undefined();
  if (const std::string* text = value.as_text()) {
    const auto size = static_cast<int64_t>(num_code_points(*text));
    const SliceRange slice = resolve_slice(size, begin, end, step);
    if (slice.step == 1)
      return runtime.make_text(
          std::string(slice_code_points(*text, static_cast<size_t>(slice.begin),
                                        static_cast<size_t>(slice.begin + slice.count))));
    runtime.budget().charge_bytes(text->size() * sizeof(char32_t));
    const std::u32string code_points = decode(*text);
    std::u32string picked;
    for (int64_t i = 0; i < slice.count; ++i)
      picked += code_points[static_cast<size_t>(slice.begin + i * slice.step)];
    return runtime.make_text(encode(picked));
  }
  if (const Range* range = value.as_range()) {
    const SliceRange slice = resolve_slice(range->size(), begin, end, step);
    Range result;
    if (slice.count == 0) return Value(result);
    if (__builtin_mul_overflow(range->step, slice.step, &result.step))
      fail_overflow(Operator::Multiply);
    result.start = (*range)[slice.begin];
    int64_t length = 0;
    if (__builtin_mul_overflow(result.step, slice.count, &length) ||
        __builtin_add_overflow(result.start, length, &result.stop))
      fail_overflow(Operator::Add);
    return Value(result);
  }
  if (is_list_or_tuple(value)) {
    const Values& items = value.as_sequence()->items;
    const SliceRange slice = resolve_slice(static_cast<int64_t>(items.size()), begin, end, step);
    runtime.budget().charge_bytes(static_cast<uint64_t>(slice.count) * sizeof(Value));
    Values picked;
    for (int64_t i = 0; i < slice.count; ++i)
      picked.push_back(items[static_cast<size_t>(slice.begin + i * slice.step)]);
    return value.as_list() ? Value::list(std::move(picked)) : Value::tuple(std::move(picked));
  }
  return Value::undefined(fmt::format("a '{}' has no slices", value.type_name()));
}

Value get_path(Runtime& runtime, Value value, const Value& path) {
  if (path.is_none()) return value;
  const std::string* text = path.as_text();
  if (!text) return get_item(runtime, value, path);
  for (size_t begin = 0; begin <= text->size();) {
    const size_t end = std::min(text->find('.', begin), text->size());
    const std::string part = text->substr(begin, end - begin);
    const bool is_index = !part.empty() && part.size() < 18 &&
                          part.find_first_not_of("0123456789") == std::string::npos;
    value = get_item(runtime, value, is_index ? Value(int64_t{std::stoll(part)}) : Value(part));
    begin = end + 1;
  }
  return value;
}

}  // namespace flanmoe::text::jinja
