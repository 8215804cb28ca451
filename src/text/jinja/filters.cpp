#include "text/jinja/filters.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "base/nearest.h"
#include "text/jinja/format.h"
#include "text/jinja/operators.h"
#include "text/jinja/runtime.h"
#include "text/jinja/tests.h"
#include "text/jinja/text_functions.h"
#include "text/jinja/unicode.h"

namespace flanmoe::text::jinja {
namespace {

// ---- texts ----

template <std::string (*change)(std::string_view)>
Value change_text(Runtime& runtime, const Value& value, const Arguments& arguments) {
  arguments.expect_none("a filter of texts");
  return runtime.make_text(change(runtime.text(value)));
}

// Jinja2's own rule of where a word begins, which is not str.title()'s.
std::string title_words(std::string_view text) {
  std::string result, rest;
  bool begins = true;
  const auto flush = [&] {
    result += to_lower(rest);
    rest.clear();
  };
  for (const char32_t c : decode(text)) {
    const bool separates =
        is_space(c) || c == U'-' || c == U'(' || c == U'{' || c == U'[' || c == U'<';
    std::string character;
    append_code_point(character, c);
    if (separates) {
      flush();
      result += character;
    } else if (begins) {
      result += to_upper(character);
    } else {
      rest += character;
    }
    begins = separates;
  }
  flush();
  return result;
}

std::string escape_html(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '\'':
        result += "&#39;";
        break;
      case '"':
        result += "&#34;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string same_text(std::string_view text) {
  return std::string(text);
}

Value trim(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("trim", {"chars"});
  const std::string text = runtime.text(value);
  return runtime.make_text(bound.has_value(0) ? strip_characters(text, bound.text(0), true, true)
                                              : std::string(strip(text)));
}

Value replace(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("replace", {"old", "new", "count"}, 2);
  return replace_all(runtime, runtime.text(value), runtime.text(bound[0]), runtime.text(bound[1]),
                     bound.has_value(2) ? bound.integer(2) : -1);
}

Value center_text(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return center(runtime, runtime.text(value), arguments.bind("center", {"width"}).integer(0, 80),
                " ");
}

Value truncate(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("truncate", {"length", "killwords", "end", "leeway"});
  const int64_t size = bound.integer(0, 255);
  const std::string end = bound.text(2, "...");
  const int64_t leeway = bound.has_value(3) ? bound.integer(3) : 5;
  const auto end_size = static_cast<int64_t>(num_code_points(end));
  if (size < end_size)
    raise(ErrorCode::InvalidArgument, "'length' of 'truncate' has to be at least {}, found {}",
          end_size, size);
  if (leeway < 0) raise(ErrorCode::InvalidArgument, "'leeway' of 'truncate' cannot be {}", leeway);
  if (!value.as_text()) {
    if (value.is_undefined()) return Value("");
    raise(ErrorCode::InvalidArgument,
          "'truncate' needs a text, found '{}' (write '| string' before it)", value.type_name());
  }
  const std::string& text = *value.as_text();
  if (static_cast<int64_t>(num_code_points(text)) <= size ||
      static_cast<int64_t>(num_code_points(text)) - size <= leeway)
    return value;
  std::string_view kept = slice_code_points(text, 0, static_cast<size_t>(size - end_size));
  if (!bound.truth(1)) kept = split_at(kept, " ", 1, true).front();
  return runtime.make_text(std::string(kept) + end);
}

Value indent(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("indent", {"width", "first", "blank"});
  std::string indention = bound.has(0) && bound[0].as_text() ? *bound[0].as_text() : "";
  if (indention.empty() && !(bound.has(0) && bound[0].as_text())) {
    const int64_t width = std::max<int64_t>(bound.integer(0, 4), 0);
    runtime.budget().charge_bytes(static_cast<uint64_t>(width));
    indention.assign(static_cast<size_t>(width), ' ');
  }
  if (!value.as_text() && !value.is_undefined())
    raise(ErrorCode::InvalidArgument, "'indent' needs a text, found '{}'", value.type_name());
  const std::string text = runtime.text(value) + "\n";
  std::string result = bound.truth(1) ? indention : "";
  bool is_first = true;
  for (const std::string_view line : split_lines(text)) {
    runtime.budget().charge_bytes(indention.size() + line.size() + 1);
    if (!is_first) {
      result += '\n';
      if (bound.truth(2) || !line.empty()) result += indention;
    }
    result += line;
    is_first = false;
  }
  return Value(std::move(result));
}

Value format(Runtime& runtime, const Value& value, const Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty())
    raise(ErrorCode::InvalidArgument, "'format' takes arguments with names or without, not both");
  if (arguments.named.empty())
    return format_percent(runtime, runtime.text(value), Value::tuple(arguments.positional));
  auto dict = std::make_shared<Dict>();
  for (const auto& [name, argument] : arguments.named)
    dict->set(Value(name), argument, runtime.budget());
  return format_percent(runtime, runtime.text(value), Value(std::move(dict)));
}

Value count_words(Runtime& runtime, const Value& value, const Arguments& arguments) {
  arguments.expect_none("wordcount");
  int64_t count = 0;
  bool was_in_word = false;
  for (const char32_t c : decode(runtime.text(value))) {
    const bool is_in_word = is_word(c);
    count += is_in_word && !was_in_word;
    was_in_word = is_in_word;
  }
  return Value(count);
}

std::string quote_url(std::string_view text, bool is_query) {
  std::string result;
  for (const char c : text) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-' || c == '~' ||
                          (c == '/' && !is_query);
    if (is_plain)
      result += c;
    else if (c == ' ' && is_query)
      result += '+';
    else
      result += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return result;
}

Value encode_url(Runtime& runtime, const Value& value, const Arguments& arguments) {
  arguments.expect_none("urlencode");
  if (value.as_text() || !is_iterable(value) || value.is_undefined())
    return runtime.make_text(quote_url(runtime.text(value), false));
  Values pairs;
  if (const Dict* dict = value.as_dict())
    for (const auto& [key, item] : dict->entries) pairs.push_back(Value::tuple({key, item}));
  else
    pairs = runtime.iterate(value);
  std::string result;
  for (const Value& pair : pairs) {
    const Values parts = runtime.iterate(pair);
    if (parts.size() != 2)
      raise(ErrorCode::InvalidArgument, "'urlencode' needs pairs, found {} values", parts.size());
    if (!result.empty()) result += '&';
    result +=
        quote_url(runtime.text(parts[0]), true) + "=" + quote_url(runtime.text(parts[1]), true);
  }
  return runtime.make_text(std::move(result));
}

// ---- JSON ----

std::string json_text(std::string_view text) {
  std::string out = "\"";
  const auto escape = [&](uint32_t unit) { out += fmt::format("\\u{:04x}", unit); };
  for (const char32_t c : decode(text)) {
    switch (c) {
      case U'"':
        out += "\\\"";
        break;
      case U'\\':
        out += "\\\\";
        break;
      case U'\n':
        out += "\\n";
        break;
      case U'\r':
        out += "\\r";
        break;
      case U'\t':
        out += "\\t";
        break;
      case U'\b':
        out += "\\b";
        break;
      case U'\f':
        out += "\\f";
        break;
      default:
        if (c >= 0x10000) {
          escape(0xD7C0 + (c >> 10));
          escape(0xDC00 + (c & 0x3FF));
        } else if (c < 0x20 || c >= 0x7F || c == U'<' || c == U'>' || c == U'&' || c == U'\'') {
          if (c == 0x7F)
            out += '\x7F';
          else
            escape(c);
        } else {
          out += static_cast<char>(c);
        }
    }
  }
  return out + "\"";
}

// As json.dumps(sort_keys=True), with <, >, & and ' written as \u00XX.
void append_json(Runtime& runtime, std::string& out, const Value& value,
                 const std::optional<std::string>& indent, const std::string& margin) {
  const Budget::Descent descent(runtime.budget());
  runtime.budget().charge_steps(1);
  const std::string inner = indent ? margin + *indent : "";
  runtime.budget().charge_bytes(inner.size());
  const auto separate = [&](bool is_first) {
    if (!is_first) out += indent ? "," : ", ";
    if (indent) out += "\n" + inner;
    runtime.budget().charge_bytes(inner.size() + 2);
  };
  const auto close = [&](bool is_empty, char bracket) {
    if (indent && !is_empty) out += "\n" + margin;
    out += bracket;
  };
  if (const std::string* text = value.as_text()) {
    runtime.budget().charge_bytes(text->size() * 2);
    out += json_text(*text);
  } else if (value.is_none()) {
    out += "null";
  } else if (const bool* truth = value.as_bool()) {
    out += *truth ? "true" : "false";
  } else if (const double* real = value.as_float()) {
    out += std::isnan(*real)   ? "NaN"
           : std::isinf(*real) ? (*real < 0 ? "-Infinity" : "Infinity")
                               : float_repr(*real);
  } else if (value.as_integer()) {
    out += std::to_string(*value.as_integer());
  } else if (value.as_list() || value.as_tuple()) {
    const Values& items = value.as_sequence()->items;
    out += '[';
    for (size_t i = 0; i < items.size(); ++i) {
      separate(i == 0);
      append_json(runtime, out, items[i], indent, inner);
    }
    close(items.empty(), ']');
  } else if (const Dict* dict = value.as_dict()) {
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict->entries) entries.push_back(&entry);
    std::stable_sort(entries.begin(), entries.end(), [&](const auto* a, const auto* b) {
      return is_less(a->first, b->first, runtime.budget());
    });
    out += '{';
    for (size_t i = 0; i < entries.size(); ++i) {
      separate(i == 0);
      const Value& key = entries[i]->first;
      if (!key.as_text() && !key.as_number() && !key.is_none())
        raise(ErrorCode::InvalidArgument, "a '{}' cannot be a key in JSON", key.type_name());
      if (key.as_text()) {
        out += json_text(*key.as_text());
      } else {
        out += '"';
        append_json(runtime, out, key, std::nullopt, "");
        out += '"';
      }
      out += ": ";
      append_json(runtime, out, entries[i]->second, indent, inner);
    }
    close(entries.empty(), '}');
  } else {
    if (value.is_undefined()) value.fail_undefined();
    raise(ErrorCode::InvalidArgument, "a '{}' cannot be written as JSON", value.type_name());
  }
}

Value to_json(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("tojson", {"indent"});
  std::optional<std::string> indent;
  if (bound.has_value(0)) {
    const int64_t width = std::max<int64_t>(bound.integer(0), 0);
    runtime.budget().charge_bytes(static_cast<uint64_t>(width));
    indent = std::string(static_cast<size_t>(width), ' ');
  }
  std::string out;
  append_json(runtime, out, value, indent, "");
  return runtime.make_text(std::move(out));
}

// ---- numbers ----

Value absolute(Runtime& runtime, const Value& value, const Arguments& arguments) {
  arguments.expect_none("abs");
  if (const double* real = value.as_float()) return Value(std::abs(*real));
  return compare(runtime, Operator::Less, value, Value(int64_t{0})) ? negate(value) : plus(value);
}

// int(float), nothing where there is none.
std::optional<int64_t> truncated(double value) {
  if (std::isnan(value)) return std::nullopt;
  if (std::isinf(value) || std::abs(value) >= 0x1p63)
    raise(ErrorCode::InvalidArgument, "{} does not fit into 64 bits with a sign",
          float_repr(value));
  return static_cast<int64_t>(value);
}

Value integer(Runtime&, const Value& value, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("int", {"default", "base"});
  const Value otherwise = bound.has(0) ? bound[0] : Value(int64_t{0});
  if (const auto whole = value.as_integer()) return Value(*whole);
  if (value.is_undefined()) value.fail_undefined();
  std::optional<int64_t> result;
  if (const std::string* text = value.as_text()) {
    result =
        parse_integer(*text, static_cast<int>(std::clamp<int64_t>(bound.integer(1, 10), -1, 99)));
    if (!result)
      if (const auto real = parse_float(*text); real && std::isfinite(*real))
        result = truncated(*real);
  } else if (const double* real = value.as_float()) {
    result = truncated(*real);
  }
  return result ? Value(*result) : otherwise;
}

Value real(Runtime&, const Value& value, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("float", {"default"});
  if (value.is_undefined()) value.fail_undefined();
  std::optional<double> result = value.as_number();
  if (const std::string* text = value.as_text()) result = parse_float(*text);
  return result ? Value(*result) : bound.has(0) ? bound[0] : Value(0.0);
}

// Python's round(), which looks at the exact decimal expansion.
double round_float(double value, int64_t precision) {
  if (!std::isfinite(value) || precision > 323) return value;
  if (precision < -308) return std::copysign(0.0, value);
  if (precision >= 0) return std::strtod(fmt::format("{:.{}f}", value, precision).c_str(), nullptr);
  const double unit = std::pow(10.0, static_cast<double>(-precision));
  return std::nearbyint(value / unit) * unit;
}

Value round_number(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("round", {"precision", "method"});
  const int64_t precision = bound.integer(0);
  const std::string method = bound.text(1, "common");
  if (method != "common" && method != "ceil" && method != "floor")
    raise(ErrorCode::InvalidArgument, "'method' of 'round' is '{}'{}", method,
          suggestion(method, {"common", "ceil", "floor"}));
  if (!value.as_number()) {
    if (value.is_undefined()) value.fail_undefined();
    raise(ErrorCode::InvalidArgument, "'round' needs a number, found '{}'", value.type_name());
  }
  if (method == "common") {
    if (value.as_float()) return Value(round_float(*value.as_float(), precision));
    if (precision >= 0) return Value(*value.as_integer());
    if (precision < -18) return Value(int64_t{0});
    const int64_t unit =
        *apply_binary(runtime, Operator::Power, Value(int64_t{10}), Value(-precision)).as_integer();
    const int64_t whole = *value.as_integer(), remainder = ((whole % unit) + unit) % unit;
    const int64_t below = whole - remainder;
    const bool goes_up =
        remainder > unit - remainder || (remainder == unit - remainder && (below / unit) % 2 != 0);
    return apply_binary(runtime, Operator::Add, Value(below), Value(goes_up ? unit : int64_t{0}));
  }
  const Value unit = apply_binary(runtime, Operator::Power, Value(int64_t{10}), Value(precision));
  const Value scaled = apply_binary(runtime, Operator::Multiply, value, unit);
  const double moved =
      method == "ceil" ? std::ceil(*scaled.as_number()) : std::floor(*scaled.as_number());
  return apply_binary(runtime, Operator::Divide, Value(moved), unit);
}

Value format_size(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("filesizeformat", {"binary"});
  const bool is_binary = bound.truth(0);
  std::optional<double> number = value.as_number();
  if (const std::string* text = value.as_text()) number = parse_float(*text);
  if (!number || !std::isfinite(*number))
    raise(ErrorCode::InvalidArgument, "'filesizeformat' needs a number, found '{}'",
          value.type_name());
  const double base = is_binary ? 1024 : 1000;
  if (*number == 1) return Value("1 Byte");
  if (*number < base) return runtime.make_text(fmt::format("{:.0f} Bytes", std::trunc(*number)));
  static constexpr std::string_view letters = "kMGTPEZY";
  double unit = base;
  for (size_t i = 0;; ++i) {
    unit *= base;
    if (*number >= unit && i + 1 < letters.size()) continue;
    const std::string prefix(1, is_binary && i == 0 ? 'K' : letters[i]);
    return runtime.make_text(
        fmt::format("{:.1f} {}{}", base * *number / unit, prefix, is_binary ? "iB" : "B"));
  }
}

// ---- values of any kind ----

Value default_value(Runtime&, const Value& value, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("default", {"default_value", "boolean"});
  if (!value.is_undefined() && !(bound.truth(1) && !is_true(value))) return value;
  return bound.has(0) ? bound[0] : Value("");
}

Value as_string(Runtime& runtime, const Value& value, const Arguments& arguments) {
  arguments.expect_none("string");
  return runtime.make_text(runtime.text(value));
}

Value size(Runtime&, const Value& value, const Arguments& arguments) {
  arguments.expect_none("length");
  return Value(length(value));
}

Value attribute(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const std::string name = arguments.bind("attr", {"name"}, 1).text(0);
  if (value.as_dict()) {
    // methods only: Jinja2's `attr` does not look at the items
    const Value empty(std::make_shared<Dict>());
    const Value found = get_attribute(runtime, empty, name);
    if (found.is_undefined()) return found;
  }
  return get_attribute(runtime, value, name);
}

// ---- sequences ----

Value join(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("join", {"d", "attribute"});
  const std::string separator = bound.has(0) ? runtime.text(bound[0]) : "";
  std::string result;
  bool is_first = true;
  for (const Value& item : runtime.iterate(value)) {
    const std::string text =
        runtime.text(bound.has_value(1) ? get_path(runtime, item, bound[1]) : item);
    runtime.budget().charge_bytes(text.size() + separator.size());
    if (!is_first) result += separator;
    result += text;
    is_first = false;
  }
  return Value(std::move(result));
}

Value first(Runtime& runtime, const Value& value, const Arguments& arguments) {
  arguments.expect_none("first");
  if (const Sequence* iterator = value.as_sequence();
      iterator && iterator->kind == Sequence::Kind::Iterator) {
    Values& items = value.as_sequence()->items;
    if (iterator->is_used_up || items.empty()) return Value::undefined("there is no first item");
    Value item = items.front();
    items.erase(items.begin());
    return item;
  }
  const Values items = runtime.iterate(value);
  return items.empty() ? Value::undefined("there is no first item: the sequence is empty")
                       : items.front();
}

void expect_not_iterator(std::string_view filter, const Value& value) {
  const Sequence* sequence = value.as_sequence();
  if (sequence && sequence->kind == Sequence::Kind::Iterator)
    raise(ErrorCode::InvalidArgument, "'{}' needs a list, found '{}' (write '| list' before it)",
          filter, value.type_name());
}

Value last(Runtime& runtime, const Value& value, const Arguments& arguments) {
  arguments.expect_none("last");
  expect_not_iterator("last", value);
  if (value.is_undefined()) value.fail_undefined();
  const Values items = runtime.iterate(value);
  return items.empty() ? Value::undefined("there is no last item: the sequence is empty")
                       : items.back();
}

// One of a sequence; nothing where it is empty.
std::optional<Value> draw_one(Runtime& runtime, std::string_view filter, const Value& value) {
  expect_not_iterator(filter, value);
  if (value.is_undefined()) value.fail_undefined();
  if (value.as_dict() || (value.as_sequence() && value.as_sequence()->kind == Sequence::Kind::View))
    raise(ErrorCode::InvalidArgument, "'{}' needs a list or text, found '{}'", filter,
          value.type_name());
  const int64_t count = length(value);
  if (count == 0) return std::nullopt;
  const auto index = static_cast<int64_t>(runtime.draw(static_cast<uint64_t>(count)));
  return get_item(runtime, value, Value(index));
}

Value choice(Runtime& runtime, const Value& value, const Arguments& arguments) {
  arguments.expect_none("choice");
  if (auto drawn = draw_one(runtime, "choice", value)) return *std::move(drawn);
  raise(ErrorCode::InvalidArgument, "'choice' of an empty '{}'", value.type_name());
}

Value random_item(Runtime& runtime, const Value& value, const Arguments& arguments) {
  arguments.expect_none("random");
  if (auto drawn = draw_one(runtime, "random", value)) return *std::move(drawn);
  return Value::undefined("there is no random item: the sequence is empty");
}

// All items that come most often, in the order in which they first come.
Value most_frequent(Runtime& runtime, const Value& value, const Arguments& arguments) {
  arguments.expect_none("most_frequent");
  if (!is_true(value)) return Value();
  std::vector<std::pair<Value, int64_t>> counts;
  for (const Value& item : runtime.iterate(value)) {
    const auto found = std::find_if(counts.begin(), counts.end(), [&](const auto& entry) {
      return are_equal(entry.first, item, runtime.budget());
    });
    if (found == counts.end())
      counts.emplace_back(item, 1);
    else
      ++found->second;
  }
  int64_t most = 0;
  for (const auto& [item, count] : counts) most = std::max(most, count);
  Values items;
  for (const auto& [item, count] : counts)
    if (count == most) items.push_back(item);
  return runtime.make_list(std::move(items));
}

Value as_list(Runtime& runtime, const Value& value, const Arguments& arguments) {
  arguments.expect_none("list");
  return Value::list(runtime.iterate(value));
}

Value reverse(Runtime& runtime, const Value& value, const Arguments& arguments) {
  arguments.expect_none("reverse");
  if (const std::string* text = value.as_text()) {
    std::u32string code_points = decode(*text);
    std::reverse(code_points.begin(), code_points.end());
    return runtime.make_text(encode(code_points));
  }
  const bool is_iterator =
      value.as_sequence() && value.as_sequence()->kind == Sequence::Kind::Iterator;
  Values items = runtime.iterate(value);
  std::reverse(items.begin(), items.end());
  if (is_iterator || value.is_undefined()) return Value::list(std::move(items));
  return Value::iterator(std::move(items), "reverse iterator");
}

Value fold_case(const Value& value) {
  return value.as_text() ? Value(to_lower(*value.as_text())) : value;
}

// What sort, unique, min, max and groupby compare.
Value key_of(Runtime& runtime, const Value& item, const Value& attribute, bool has_case) {
  const Value key = attribute.is_none() ? item : get_path(runtime, item, attribute);
  if (has_case || !key.as_text()) return key;
  runtime.budget().charge_bytes(key.as_text()->size());
  return fold_case(key);
}

struct Keyed {
  Value key, item;
};

// Stable; NaN and keys without an order are for the caller's budget and errors.
void sort_by_key(Runtime& runtime, std::vector<Keyed>& items, bool is_reversed) {
  // merge sort by hand: std::stable_sort asks for a strict weak order, which NaN breaks
  std::vector<Keyed> buffer(items.size());
  const auto goes_before = [&](const Keyed& a, const Keyed& b) {
    return is_reversed ? is_less(a.key, b.key, runtime.budget())
                       : is_less(b.key, a.key, runtime.budget());
  };
  for (size_t width = 1; width < items.size(); width *= 2) {
    for (size_t begin = 0; begin < items.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, items.size());
      const size_t end = std::min(begin + 2 * width, items.size());
      size_t a = begin, b = middle;
      for (size_t i = begin; i < end; ++i) {
        const bool takes_right = a == middle || (b < end && goes_before(items[a], items[b]));
        buffer[i] = std::move(items[takes_right ? b++ : a++]);
      }
    }
    items.swap(buffer);
  }
}

std::vector<Keyed> keyed(Runtime& runtime, const Value& value, const Value& attribute,
                         bool has_case) {
  std::vector<Keyed> result;
  for (const Value& item : runtime.iterate(value))
    result.push_back({key_of(runtime, item, attribute, has_case), item});
  return result;
}

Values items_of(std::vector<Keyed>&& pairs) {
  Values items;
  for (Keyed& pair : pairs) items.push_back(std::move(pair.item));
  return items;
}

Value sort(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("sort", {"reverse", "case_sensitive", "attribute"});
  // "a,b": by a, then by b
  Values paths;
  if (bound.has(2) && bound[2].as_text())
    for (const std::string_view path : split_at(*bound[2].as_text(), ",", -1, false))
      paths.emplace_back(path);
  else
    paths.push_back(bound.has(2) ? bound[2] : Value());
  std::vector<Keyed> pairs;
  for (const Value& item : runtime.iterate(value)) {
    Values keys;
    for (const Value& path : paths) keys.push_back(key_of(runtime, item, path, bound.truth(1)));
    pairs.push_back({keys.size() == 1 ? keys[0] : Value::list(std::move(keys)), item});
  }
  sort_by_key(runtime, pairs, bound.truth(0));
  return runtime.make_list(items_of(std::move(pairs)));
}

Value unique(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("unique", {"case_sensitive", "attribute"});
  Values seen, items;
  for (Keyed& pair : keyed(runtime, value, bound.has(1) ? bound[1] : Value(), bound.truth(0))) {
    if (!is_hashable(pair.key))
      raise(ErrorCode::InvalidArgument, "'unique' cannot tell '{}' apart", pair.key.type_name());
    const bool is_new = std::none_of(seen.begin(), seen.end(), [&](const Value& other) {
      return are_equal(other, pair.key, runtime.budget());
    });
    if (!is_new) continue;
    seen.push_back(pair.key);
    items.push_back(std::move(pair.item));
  }
  return Value::iterator(std::move(items));
}

template <bool wants_greatest>
Value extreme(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const BoundArguments bound =
      arguments.bind(wants_greatest ? "max" : "min", {"case_sensitive", "attribute"});
  const std::vector<Keyed> pairs =
      keyed(runtime, value, bound.has(1) ? bound[1] : Value(), bound.truth(0));
  if (pairs.empty()) return Value::undefined("the sequence is empty");
  const Keyed* best = &pairs[0];
  for (const Keyed& pair : pairs) {
    const bool is_better = wants_greatest ? is_less(best->key, pair.key, runtime.budget())
                                          : is_less(pair.key, best->key, runtime.budget());
    if (is_better) best = &pair;
  }
  return best->item;
}

Value sum(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("sum", {"attribute", "start"});
  Value total = bound.has(1) ? bound[1] : Value(int64_t{0});
  if (total.as_text()) raise(ErrorCode::InvalidArgument, "'sum' does not add texts; use 'join'");
  for (const Value& item : runtime.iterate(value))
    total = apply_binary(runtime, Operator::Add, total,
                         bound.has_value(0) ? get_path(runtime, item, bound[0]) : item);
  return total;
}

Value group_by(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const BoundArguments bound =
      arguments.bind("groupby", {"attribute", "default", "case_sensitive"}, 1);
  const bool has_case = bound.truth(2);
  const auto key = [&](const Value& item, bool folds) {
    Value found = get_path(runtime, item, bound[0]);
    if (found.is_undefined() && bound.has_value(1)) found = bound[1];
    return folds ? fold_case(found) : found;
  };
  std::vector<Keyed> pairs;
  for (const Value& item : runtime.iterate(value)) pairs.push_back({key(item, !has_case), item});
  sort_by_key(runtime, pairs, false);
  Values groups;
  for (size_t begin = 0; begin < pairs.size();) {
    size_t end = begin + 1;
    while (end < pairs.size() && are_equal(pairs[begin].key, pairs[end].key, runtime.budget()))
      ++end;
    Values items;
    for (size_t i = begin; i < end; ++i) items.push_back(pairs[i].item);
    const Value name = has_case ? pairs[begin].key : key(pairs[begin].item, false);
    const Value group = Value::tuple({name, runtime.make_list(std::move(items))});
    group.as_sequence()->is_group = true;
    groups.push_back(group);
    begin = end;
  }
  return runtime.make_list(std::move(groups));
}

Value sort_dict(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("dictsort", {"case_sensitive", "by", "reverse"});
  const std::string by = bound.text(1, "key");
  if (by != "key" && by != "value")
    raise(ErrorCode::InvalidArgument, "'by' of 'dictsort' is '{}'{}", by,
          suggestion(by, {"key", "value"}));
  const Dict* dict = value.as_dict();
  if (!dict) {
    if (value.is_undefined()) value.fail_undefined();
    raise(ErrorCode::InvalidArgument, "'dictsort' needs a dict, found '{}'", value.type_name());
  }
  std::vector<Keyed> pairs;
  for (const auto& [name, item] : dict->entries) {
    const Value& key = by == "key" ? name : item;
    pairs.push_back({bound.truth(0) ? key : fold_case(key), Value::tuple({name, item})});
  }
  sort_by_key(runtime, pairs, bound.truth(2));
  return runtime.make_list(items_of(std::move(pairs)));
}

Value dict_items(Runtime& runtime, const Value& value, const Arguments& arguments) {
  arguments.expect_none("items");
  Values pairs;
  if (!value.is_undefined()) {
    if (!value.as_dict())
      raise(ErrorCode::InvalidArgument, "'items' needs a dict, found '{}'", value.type_name());
    runtime.budget().charge_bytes(value.as_dict()->entries.size() * 3 * sizeof(Value));
    for (const auto& [key, item] : value.as_dict()->entries)
      pairs.push_back(Value::tuple({key, item}));
  }
  return Value::iterator(std::move(pairs));
}

Value batch(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("batch", {"linecount", "fill_with"}, 1);
  const int64_t count = bound.integer(0);
  Values rows, row;
  for (const Value& item : runtime.iterate(value)) {
    if (static_cast<int64_t>(row.size()) == count) {
      rows.push_back(runtime.make_list(std::move(row)));
      row.clear();
    }
    row.push_back(item);
  }
  if (!row.empty()) {
    if (bound.has_value(1) && static_cast<int64_t>(row.size()) < count) {
      runtime.budget().charge_bytes(static_cast<uint64_t>(count) * sizeof(Value));
      row.resize(static_cast<size_t>(count), bound[1]);
    }
    rows.push_back(runtime.make_list(std::move(row)));
  }
  return Value::iterator(std::move(rows));
}

Value slice(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("slice", {"slices", "fill_with"}, 1);
  const int64_t count = bound.integer(0);
  if (count == 0) raise(ErrorCode::InvalidArgument, "'slices' of 'slice' cannot be 0");
  const Values items = runtime.iterate(value);
  Values slices;
  if (count > 0) {
    runtime.budget().charge_bytes(static_cast<uint64_t>(count) * sizeof(Value));
    runtime.budget().charge_steps(static_cast<uint64_t>(count));
    const auto size = static_cast<int64_t>(items.size());
    const int64_t each = size / count, extra = size % count;
    int64_t begin = 0;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t end = begin + each + (i < extra);
      Values part(items.begin() + begin, items.begin() + end);
      if (bound.has_value(1) && i >= extra) part.push_back(bound[1]);
      slices.push_back(runtime.make_list(std::move(part)));
      begin = end;
    }
  }
  return Value::iterator(std::move(slices));
}

// ---- filters over filters and tests ----

// "name, argument, ..." of map, select and reject: the name, and the rest.
std::string take_name(Arguments& rest, std::string_view filter, std::string_view what) {
  if (rest.positional.empty())
    raise(ErrorCode::InvalidArgument, "'{}' needs the name of a {}", filter, what);
  if (!rest.positional[0].as_text())
    raise(ErrorCode::InvalidArgument, "'{}' needs the name of a {} as a text, found '{}'", filter,
          what, rest.positional[0].type_name());
  std::string name = *rest.positional[0].as_text();
  rest.positional.erase(rest.positional.begin());
  return name;
}

Value map(Runtime& runtime, const Value& value, const Arguments& arguments) {
  std::function<Value(const Value&)> change;
  Arguments rest = arguments;
  if (arguments.positional.empty() && !arguments.named.empty()) {
    const BoundArguments bound = arguments.bind("map", {"attribute", "default"});
    if (!bound.has(0))
      raise(ErrorCode::InvalidArgument, "'map' needs the name of a filter or 'attribute'");
    const Value path = bound[0], otherwise = bound.has(1) ? bound[1] : Value();
    change = [&runtime, path, otherwise](const Value& item) {
      // the default also stands in for a part on the way
      if (otherwise.is_none() || !path.as_text()) {
        const Value found = get_path(runtime, item, path);
        return found.is_undefined() && !otherwise.is_none() ? otherwise : found;
      }
      Value found = item;
      for (const std::string_view part : split_at(*path.as_text(), ".", -1, false)) {
        found = get_path(runtime, found, Value(part));
        if (found.is_undefined()) found = otherwise;
      }
      return found;
    };
  } else {
    const std::string name = take_name(rest, "map", "filter");
    const FilterFunction filter = find_filter(name);
    if (!filter)
      raise(ErrorCode::InvalidArgument, "unknown filter '{}'{}", name,
            suggestion(name, filter_names()));
    change = [&runtime, &rest, filter](const Value& item) { return filter(runtime, item, rest); };
  }
  const Budget::Descent descent(runtime.budget());
  Values items;
  for (const Value& item : runtime.iterate(value)) items.push_back(change(item));
  return Value::iterator(std::move(items));
}

template <bool wanted, bool by_attribute>
Value choose_items(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const std::string_view filter =
      by_attribute ? (wanted ? "selectattr" : "rejectattr") : (wanted ? "select" : "reject");
  Arguments rest = arguments;
  Value path;
  if (by_attribute) {
    if (rest.positional.empty())
      raise(ErrorCode::InvalidArgument, "'{}' needs an attribute", filter);
    path = rest.positional[0];
    rest.positional.erase(rest.positional.begin());
  }
  TestFunction test = nullptr;
  if (!rest.positional.empty()) {
    const std::string name = take_name(rest, filter, "test");
    test = find_test(name);
    if (!test)
      raise(ErrorCode::InvalidArgument, "unknown test '{}'{}", name,
            suggestion(name, test_names()));
  }
  const Budget::Descent descent(runtime.budget());
  Values items;
  for (const Value& item : runtime.iterate(value)) {
    const Value subject = by_attribute ? get_path(runtime, item, path) : item;
    const bool passes = test ? test(runtime, subject, rest) : is_true(subject);
    if (passes == wanted) items.push_back(item);
  }
  return Value::iterator(std::move(items));
}

struct FilterEntry {
  std::string_view name;
  FilterFunction filter;
};
constexpr FilterEntry kFilters[] = {
    {"abs", absolute},
    {"attr", attribute},
    {"batch", batch},
    {"capitalize", change_text<to_capitalized>},
    {"center", center_text},
    {"choice", choice},
    {"count", size},
    {"d", default_value},
    {"default", default_value},
    {"dictsort", sort_dict},
    {"e", change_text<escape_html>},
    {"escape", change_text<escape_html>},
    {"filesizeformat", format_size},
    {"first", first},
    {"float", real},
    {"forceescape", change_text<escape_html>},
    {"format", format},
    {"groupby", group_by},
    {"indent", indent},
    {"int", integer},
    {"items", dict_items},
    {"join", join},
    {"last", last},
    {"length", size},
    {"list", as_list},
    {"lower", change_text<to_lower>},
    {"map", map},
    {"max", extreme<true>},
    {"min", extreme<false>},
    {"most_frequent", most_frequent},
    {"random", random_item},
    {"reject", choose_items<false, false>},
    {"rejectattr", choose_items<false, true>},
    {"replace", replace},
    {"reverse", reverse},
    {"round", round_number},
    {"safe", change_text<same_text>},
    {"select", choose_items<true, false>},
    {"selectattr", choose_items<true, true>},
    {"slice", slice},
    {"sort", sort},
    {"string", as_string},
    {"sum", sum},
    {"title", change_text<title_words>},
    {"tojson", to_json},
    {"trim", trim},
    {"truncate", truncate},
    {"unique", unique},
    {"upper", change_text<to_upper>},
    {"urlencode", encode_url},
    {"wordcount", count_words},
};

}  // namespace

FilterFunction find_filter(std::string_view name) {
  for (const FilterEntry& entry : kFilters)
    if (entry.name == name) return entry.filter;
  return nullptr;
}

std::vector<std::string> filter_names() {
  std::vector<std::string> names;
  for (const FilterEntry& entry : kFilters) names.emplace_back(entry.name);
  return names;
}

}  // namespace flanmoe::text::jinja
