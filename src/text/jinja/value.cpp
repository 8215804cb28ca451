#include "text/jinja/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/json.h"
#include "text/jinja/unicode.h"

namespace flanmoe::text::jinja {
namespace {

constexpr int kMaxDepth = 200;

// -1, 0, 1, or nothing where a NaN is involved.
std::optional<int> compare_numbers(const Value& a, const Value& b) {
  if (!a.as_float() && !b.as_float()) {
    const int64_t x = *a.as_integer(), y = *b.as_integer();
    return x < y ? -1 : x > y;
  }
  const auto x = static_cast<long double>(a.as_float() ? *a.as_float() : 0);
  const auto y = static_cast<long double>(b.as_float() ? *b.as_float() : 0);
  // 64 bits of mantissa hold every int64 exactly
  const long double p = a.as_float() ? x : static_cast<long double>(*a.as_integer());
  const long double q = b.as_float() ? y : static_cast<long double>(*b.as_integer());
  if (std::isnan(p) || std::isnan(q)) return std::nullopt;
  return p < q ? -1 : p > q;
}

void append_repr(std::string& out, const Value& value, Budget& budget);

void append_items(std::string& out, const Values& items, Budget& budget) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += ", ";
    append_repr(out, items[i], budget);
  }
}

void append_repr(std::string& out, const Value& value, Budget& budget) {
  budget.charge_steps(1);
  if (const std::string* text = value.as_text()) {
    budget.charge_bytes(text->size());
    out += text_repr(*text);
  } else if (value.is_none()) {
    out += "None";
  } else if (value.is_undefined()) {
    out += "Undefined";
  } else if (const bool* truth = value.as_bool()) {
    out += *truth ? "True" : "False";
  } else if (const double* real = value.as_float()) {
    out += float_repr(*real);
  } else if (const auto integer = value.as_integer()) {
    out += std::to_string(*integer);
  } else if (const Range* range = value.as_range()) {
    out += range->step == 1
               ? fmt::format("range({}, {})", range->start, range->stop)
               : fmt::format("range({}, {}, {})", range->start, range->stop, range->step);
  } else if (const Sequence* sequence = value.as_sequence()) {
    const Budget::Descent descent(budget);
    switch (sequence->kind) {
      case Sequence::Kind::List:
        out += '[';
        append_items(out, sequence->items, budget);
        out += ']';
        break;
      case Sequence::Kind::Tuple:
        out += '(';
        append_items(out, sequence->items, budget);
        out += sequence->items.size() == 1 ? ",)" : ")";
        break;
      case Sequence::Kind::View:
        out += sequence->type_name;
        out += "([";
        append_items(out, sequence->items, budget);
        out += "])";
        break;
      case Sequence::Kind::Iterator:
        raise(ErrorCode::InvalidArgument,
              "a {} has no text of its own; write '| list' or '| join' behind it",
              sequence->type_name);
    }
  } else if (const Dict* dict = value.as_dict()) {
    const Budget::Descent descent(budget);
    out += '{';
    for (size_t i = 0; i < dict->entries.size(); ++i) {
      if (i > 0) out += ", ";
      append_repr(out, dict->entries[i].first, budget);
      out += ": ";
      append_repr(out, dict->entries[i].second, budget);
    }
    out += '}';
  } else {
    raise(ErrorCode::InvalidArgument, "a {} has no text of its own", value.type_name());
  }
}

}  // namespace

Budget::Descent::Descent(Budget& budget) : budget_(budget) {
  if (budget_.depth_ >= kMaxDepth)
    raise(ErrorCode::InvalidArgument, "values or calls are nested more than {} deep", kMaxDepth);
  ++budget_.depth_;
}

void Budget::fail_exhausted(std::string_view what) {
  raise(ErrorCode::InvalidArgument, "the template needs too many {}", what);
}

const Value* Dict::find(const Value& key, Budget& budget) const {
  for (const auto& [name, value] : entries)
    if (are_equal(name, key, budget)) return &value;
  return nullptr;
}

void Dict::set(const Value& key, Value value, Budget& budget) {
  if (const Value* found = find(key, budget))
    *const_cast<Value*>(found) = std::move(value);
  else
    entries.emplace_back(key, std::move(value));
}

int64_t Range::size() const {
  // unsigned: stop - start may not fit into 63 bits
  const auto distance = [](int64_t low, int64_t high, uint64_t stride) -> int64_t {
    if (low >= high) return 0;
    const uint64_t count =
        (static_cast<uint64_t>(high) - static_cast<uint64_t>(low) - 1) / stride + 1;
    return static_cast<int64_t>(std::min<uint64_t>(count, std::numeric_limits<int64_t>::max()));
  };
  return step > 0 ? distance(start, stop, static_cast<uint64_t>(step))
                  : distance(stop, start, 0 - static_cast<uint64_t>(step));
}

std::optional<Value> Object::attribute(Runtime&, std::string_view) {
  return std::nullopt;
}

Value Object::call(Runtime&, const Arguments&) {
  raise(ErrorCode::InvalidArgument, "a '{}' cannot be called", type_name());
}

Value Value::from_json(const Json& json, int depth) {
  if (depth > kMaxDepth)
    raise(ErrorCode::InvalidArgument, "a field is nested more than {} deep", kMaxDepth);
  switch (json.type()) {
    case Json::value_t::boolean:
      return Value(json.get<bool>());
    case Json::value_t::number_integer:
      return Value(json.get<int64_t>());
    case Json::value_t::number_unsigned:
      if (json.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
        raise(ErrorCode::InvalidArgument, "{} does not fit into 64 bits with a sign",
              json.get<uint64_t>());
      return Value(json.get<int64_t>());
    case Json::value_t::number_float:
      return Value(json.get<double>());
    case Json::value_t::string:
      return Value(json.get_ref<const std::string&>());
    case Json::value_t::array: {
      Values items;
      items.reserve(json.size());
      for (const Json& item : json) items.push_back(from_json(item, depth + 1));
      return list(std::move(items));
    }
    case Json::value_t::object: {
      auto dict = std::make_shared<Dict>();
      dict->entries.reserve(json.size());
      for (const auto& [key, value] : json.items())
        dict->entries.emplace_back(Value(key), from_json(value, depth + 1));
      return Value(std::move(dict));
    }
    default:
      return Value();
  }
}

Value Value::undefined(std::string message) {
  return Value(Undefined{std::make_shared<const std::string>(std::move(message))});
}

namespace {

std::shared_ptr<Sequence> make_sequence(Sequence::Kind kind, std::string_view type_name,
                                        Values items) {
  auto sequence = std::make_shared<Sequence>();
  sequence->kind = kind;
  sequence->type_name = type_name;
  sequence->items = std::move(items);
  return sequence;
}

}  // namespace

Value Value::list(Values items) {
  return Value(make_sequence(Sequence::Kind::List, "list", std::move(items)));
}

Value Value::tuple(Values items) {
  return Value(make_sequence(Sequence::Kind::Tuple, "tuple", std::move(items)));
}

Value Value::iterator(Values items, std::string_view type_name) {
  return Value(make_sequence(Sequence::Kind::Iterator, type_name, std::move(items)));
}

Value Value::view(Values items, std::string_view type_name) {
  return Value(make_sequence(Sequence::Kind::View, type_name, std::move(items)));
}

std::optional<int64_t> Value::as_integer() const {
  if (const auto* integer = std::get_if<int64_t>(&data_)) return *integer;
  if (const auto* truth = std::get_if<bool>(&data_)) return *truth ? 1 : 0;
  return std::nullopt;
}

std::optional<double> Value::as_number() const {
  if (const double* real = as_float()) return *real;
  if (const auto integer = as_integer()) return static_cast<double>(*integer);
  return std::nullopt;
}

std::string_view Value::type_name() const {
  if (const Sequence* sequence = as_sequence()) return sequence->type_name;
  if (const Object* object = as_object()) return object->type_name();
  static constexpr std::string_view names[] = {"Undefined", "None", "bool", "int",   "float",
                                               "str",       "",     "dict", "range", ""};
  return names[data_.index()];
}

void Value::fail_undefined() const {
  throw Failure{ErrorCode::NotFound, *std::get<Undefined>(data_).message};
}

bool is_true(const Value& value) {
  if (const bool* truth = value.as_bool()) return *truth;
  if (const std::string* text = value.as_text()) return !text->empty();
  if (value.is_none() || value.is_undefined()) return false;
  if (const double* real = value.as_float()) return *real != 0;
  if (const auto integer = value.as_integer()) return *integer != 0;
  if (const Range* range = value.as_range()) return range->size() > 0;
  if (const Sequence* sequence = value.as_sequence())
    return sequence->kind == Sequence::Kind::Iterator || !sequence->items.empty();
  if (const Dict* dict = value.as_dict()) return !dict->entries.empty();
  return true;
}

bool are_equal(const Value& a, const Value& b, Budget& budget) {
  budget.charge_steps(1);
  if (a.as_number() && b.as_number()) return compare_numbers(a, b) == 0;
  if (const std::string* x = a.as_text()) {
    const std::string* y = b.as_text();
    return y && *x == *y;
  }
  if (a.is_none() || b.is_none()) return a.is_none() && b.is_none();
  if (a.is_undefined() || b.is_undefined()) return a.is_undefined() && b.is_undefined();
  if (const Range* x = a.as_range()) {
    const Range* y = b.as_range();
    if (!y || x->size() != y->size()) return false;
    if (x->size() == 0) return true;
    return x->start == y->start && (x->size() == 1 || x->step == y->step);
  }
  const Budget::Descent descent(budget);
  if (const Sequence* x = a.as_sequence()) {
    const Sequence* y = b.as_sequence();
    if (x == y) return true;
    if (!y || x->kind != y->kind || x->kind == Sequence::Kind::Iterator ||
        x->items.size() != y->items.size())
      return false;
    for (size_t i = 0; i < x->items.size(); ++i)
      if (!are_equal(x->items[i], y->items[i], budget)) return false;
    return true;
  }
  if (const Dict* x = a.as_dict()) {
    const Dict* y = b.as_dict();
    if (x == y) return true;
    if (!y || x->entries.size() != y->entries.size()) return false;
    for (const auto& [key, value] : x->entries) {
      const Value* other = y->find(key, budget);
      if (!other || !are_equal(value, *other, budget)) return false;
    }
    return true;
  }
  return a.as_object() && a.as_object() == b.as_object();
}

bool is_less(const Value& a, const Value& b, Budget& budget) {
  if (a.as_number() && b.as_number()) return compare_numbers(a, b) == -1;
  if (a.as_text() && b.as_text()) return *a.as_text() < *b.as_text();
  const Sequence *x = a.as_sequence(), *y = b.as_sequence();
  if (x && y && x->kind == y->kind &&
      (x->kind == Sequence::Kind::List || x->kind == Sequence::Kind::Tuple)) {
    const Budget::Descent descent(budget);
    for (size_t i = 0; i < x->items.size() && i < y->items.size(); ++i)
      if (!are_equal(x->items[i], y->items[i], budget))
        return is_less(x->items[i], y->items[i], budget);
    return x->items.size() < y->items.size();
  }
  if (a.is_undefined()) a.fail_undefined();
  if (b.is_undefined()) b.fail_undefined();
  raise(ErrorCode::InvalidArgument, "'{}' and '{}' have no order", a.type_name(), b.type_name());
}

bool contains(const Value& container, const Value& item, Budget& budget) {
  if (const std::string* text = container.as_text()) {
    if (item.is_undefined()) item.fail_undefined();
    if (!item.as_text())
      raise(ErrorCode::InvalidArgument, "'in' of a text needs a text on its left, found '{}'",
            item.type_name());
    return text->find(*item.as_text()) != std::string::npos;
  }
  if (const Dict* dict = container.as_dict()) {
    if (!is_hashable(item))
      raise(ErrorCode::InvalidArgument, "a '{}' cannot be the key of a dict", item.type_name());
    return dict->find(item, budget) != nullptr;
  }
  if (const Range* range = container.as_range()) {
    const auto number = item.as_number();
    if (!number || *number != std::floor(*number) || std::abs(*number) > 0x1p62) return false;
    const auto index = item.as_integer() ? *item.as_integer() : static_cast<int64_t>(*number);
    const bool is_inside = range->step > 0 ? index >= range->start && index < range->stop
                                           : index <= range->start && index > range->stop;
    if (!is_inside) return false;
    const uint64_t distance =
        range->step > 0 ? static_cast<uint64_t>(index) - static_cast<uint64_t>(range->start)
                        : static_cast<uint64_t>(range->start) - static_cast<uint64_t>(index);
    const uint64_t stride = range->step > 0 ? static_cast<uint64_t>(range->step)
                                            : 0 - static_cast<uint64_t>(range->step);
    return distance % stride == 0;
  }
  if (container.is_undefined()) return false;
  if (const Sequence* sequence = container.as_sequence()) {
    if (sequence->kind == Sequence::Kind::Iterator && sequence->is_used_up) return false;
    const auto found =
        std::find_if(sequence->items.begin(), sequence->items.end(), [&](const Value& other) {
          return is_same(other, item, budget) || are_equal(other, item, budget);
        });
    if (sequence->kind == Sequence::Kind::Iterator) {
      // what was looked at is gone
      const bool was_found = found != sequence->items.end();
      auto* items = &container.as_sequence()->items;
      items->erase(items->begin(), was_found ? found + 1 : found);
      return was_found;
    }
    return found != sequence->items.end();
  }
  raise(ErrorCode::InvalidArgument, "'in' needs a text, list or dict on its right, found '{}'",
        container.type_name());
}

bool is_same(const Value& a, const Value& b, Budget& budget) {
  if (a.type_name() != b.type_name()) return false;
  if (a.as_sequence()) return a.as_sequence() == b.as_sequence();
  if (a.as_dict()) return a.as_dict() == b.as_dict();
  if (a.as_object()) return a.as_object() == b.as_object();
  return are_equal(a, b, budget);
}

void expect_apart(const Value* container, const Value& item, Budget& budget) {
  const Budget::Descent descent(budget);
  budget.charge_steps(1);
  const bool is_container =
      container && ((item.as_sequence() && item.as_sequence() == container->as_sequence()) ||
                    (item.as_dict() && item.as_dict() == container->as_dict()));
  if (is_container)
    raise(ErrorCode::InvalidArgument, "a {} cannot hold itself", container->type_name());
  if (item.as_object())
    raise(ErrorCode::InvalidArgument, "a '{}' cannot be put there", item.type_name());
  if (const Sequence* sequence = item.as_sequence())
    for (const Value& part : sequence->items) expect_apart(container, part, budget);
  if (const Dict* dict = item.as_dict()) {
    for (const auto& [key, value] : dict->entries) {
      expect_apart(container, key, budget);
      expect_apart(container, value, budget);
    }
  }
}

bool is_hashable(const Value& value) {
  if (value.as_dict()) return false;
  if (const Sequence* sequence = value.as_sequence()) {
    if (sequence->kind == Sequence::Kind::Tuple)
      return std::all_of(sequence->items.begin(), sequence->items.end(), is_hashable);
    return sequence->kind == Sequence::Kind::Iterator;
  }
  return true;
}

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[40];
  const auto end =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific).ptr;
  std::string_view text(buffer, static_cast<size_t>(end - buffer));
  std::string sign;
  if (text.front() == '-') {
    sign = "-";
    text.remove_prefix(1);
  }
  const size_t e = text.find('e');
  std::string digits(1, text[0]);
  if (e > 1) digits += text.substr(2, e - 2);
  const int exponent = std::stoi(std::string(text.substr(e + 1)));
  if (exponent < -4 || exponent >= 16) {
    std::string result = sign + digits.substr(0, 1);
    if (digits.size() > 1) result += "." + digits.substr(1);
    return result + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0)
    return sign + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  const auto point = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= point) return sign + digits + std::string(point - digits.size(), '0') + ".0";
  return sign + digits.substr(0, point) + "." + digits.substr(point);
}

std::string text_repr(std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const bool has_double = text.find('"') != std::string_view::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  std::string out(1, quote);
  bool is_plain = true;
  for (const char c : text) is_plain &= c >= ' ' && c < 0x7F && c != '\\' && c != '\'';
  if (is_plain) {
    out += text;
  } else {
    for (const char32_t c : decode(text)) {
      if (c == static_cast<unsigned char>(quote) || c == U'\\') {
        out += '\\';
        out += static_cast<char>(c);
      } else if (c == U'\n') {
        out += "\\n";
      } else if (c == U'\r') {
        out += "\\r";
      } else if (c == U'\t') {
        out += "\\t";
      } else if (is_printable(c)) {
        append_code_point(out, c);
      } else if (c < 0x100) {
        out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
      } else if (c < 0x10000) {
        out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
      } else {
        out += fmt::format("\\U{:08x}", static_cast<uint32_t>(c));
      }
    }
  }
  out += quote;
  return out;
}

std::string to_repr(const Value& value, Budget& budget) {
  std::string out;
  append_repr(out, value, budget);
  return out;
}

std::string to_text(const Value& value, Budget& budget) {
  if (const std::string* text = value.as_text()) return *text;
  if (value.is_undefined()) return {};
  return to_repr(value, budget);
}

int64_t length(const Value& value) {
  if (const std::string* text = value.as_text())
    return static_cast<int64_t>(num_code_points(*text));
  if (const Range* range = value.as_range()) return range->size();
  if (const Dict* dict = value.as_dict()) return static_cast<int64_t>(dict->entries.size());
  if (value.is_undefined()) return 0;
  const Sequence* sequence = value.as_sequence();
  if (!sequence || sequence->kind == Sequence::Kind::Iterator)
    raise(ErrorCode::InvalidArgument, "a '{}' has no length", value.type_name());
  return static_cast<int64_t>(sequence->items.size());
}

bool is_iterable(const Value& value) {
  return value.as_text() || value.as_range() || value.as_dict() || value.as_sequence() ||
         value.is_undefined();
}

Values iterate(const Value& value, Budget& budget) {
  if (is_iterable(value) && !value.is_undefined()) {
    const Sequence* sequence = value.as_sequence();
    const auto size = sequence ? sequence->items.size() : static_cast<size_t>(length(value));
    budget.charge_steps(size);
    budget.charge_bytes(size * sizeof(Value));
  }
  Values items;
  if (const Sequence* sequence = value.as_sequence()) {
    if (sequence->kind == Sequence::Kind::Iterator) {
      if (sequence->is_used_up) return items;
      sequence->is_used_up = true;
    }
    return sequence->items;
  }
  if (const std::string* text = value.as_text()) {
    for (size_t at = 0; at < text->size();) {
      size_t end = at + 1;
      while (end < text->size() && (static_cast<unsigned char>((*text)[end]) & 0xC0) == 0x80) ++end;
      items.emplace_back(text->substr(at, end - at));
      at = end;
    }
  } else if (const Range* range = value.as_range()) {
    const int64_t size = range->size();
    items.reserve(static_cast<size_t>(size));
    for (int64_t i = 0; i < size; ++i) items.emplace_back((*range)[i]);
  } else if (const Dict* dict = value.as_dict()) {
    for (const auto& entry : dict->entries) items.push_back(entry.first);
  } else if (!value.is_undefined()) {
    raise(ErrorCode::InvalidArgument, "a '{}' cannot be gone through", value.type_name());
  }
  return items;
}

}  // namespace flanmoe::text::jinja
