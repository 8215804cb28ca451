#include "text/jinja/methods.h"

#include <algorithm>
#include <span>

#include "text/jinja/format.h"
#include "text/jinja/text_functions.h"
#include "text/jinja/unicode.h"

namespace flanmoe::text::jinja {
namespace {

using MethodFunction = Value (*)(Runtime&, const Value&, const Arguments&);

struct MethodEntry {
  std::string_view name;
  MethodFunction function;
};

class Method : public Object {
 public:
  Method(Value self, MethodFunction function) : self_(std::move(self)), function_(function) {}
  std::string_view type_name() const override { return "method"; }
  Value call(Runtime& runtime, const Arguments& arguments) override {
    return function_(runtime, self_, arguments);
  }

 private:
  Value self_;
  MethodFunction function_;
};

// ---- str ----

template <std::string (*change)(std::string_view)>
Value change_text(Runtime& runtime, const Value& self, const Arguments& arguments) {
  arguments.expect_none("a method of str");
  return runtime.make_text(change(*self.as_text()));
}

template <bool (*is)(std::string_view)>
Value ask_text(Runtime&, const Value& self, const Arguments& arguments) {
  arguments.expect_none("a method of str");
  return Value(is(*self.as_text()));
}

template <bool (*is)(char32_t)>
bool all_characters(std::string_view text) {
  const std::u32string code_points = decode(text);
  return !code_points.empty() && std::all_of(code_points.begin(), code_points.end(), is);
}
bool is_alphanumeric(char32_t c) {
  return c != U'_' && is_word(c);
}
bool is_ascii_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<signed char>(c) >= 0; });
}
bool is_printable_text(std::string_view text) {
  return text.empty() || all_characters<is_printable>(text);
}
bool is_identifier(std::string_view text) {
  const std::u32string code_points = decode(text);
  return all_characters<is_word>(text) && !is_numeric(code_points[0]);
}

enum class Sides { Left, Right, Both };
template <Sides sides>
Value strip_text(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("strip", {"chars"});
  const std::string_view text = *self.as_text();
  return runtime.make_text(
      bound.has_value(0)
          ? strip_characters(text, bound.text(0), sides != Sides::Right, sides != Sides::Left)
      : sides == Sides::Left  ? std::string(strip_left(text))
      : sides == Sides::Right ? std::string(strip_right(text))
                              : std::string(strip(text)));
}

Values as_values(Runtime& runtime, const std::vector<std::string_view>& parts) {
  runtime.budget().charge_bytes(parts.size() * (sizeof(Value) + sizeof(std::string)));
  Values values;
  for (const std::string_view part : parts) values.emplace_back(part);
  return values;
}

template <bool from_right>
Value split_text(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("split", {"sep", "maxsplit"});
  const std::string_view text = *self.as_text();
  const int64_t limit = bound.integer(1, -1);
  const std::optional<std::string> separator =
      bound.has_value(0) ? std::optional<std::string>(bound.text(0)) : std::nullopt;
  if (separator && separator->empty())
    raise(ErrorCode::InvalidArgument, "the separator of 'split' is empty");
  return Value::list(as_values(runtime, separator ? split_at(text, *separator, limit, from_right)
                                                  : split_at_space(text, limit, from_right)));
}

template <bool from_right>
Value partition_text(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string separator = arguments.bind("partition", {"sep"}, 1).text(0);
  if (separator.empty()) raise(ErrorCode::InvalidArgument, "the separator of 'partition' is empty");
  const std::string_view text = *self.as_text();
  const size_t at = from_right ? text.rfind(separator) : text.find(separator);
  std::vector<std::string_view> parts;
  if (at != std::string_view::npos)
    parts = {text.substr(0, at), separator, text.substr(at + separator.size())};
  else if (from_right)
    parts = {"", "", text};
  else
    parts = {text, "", ""};
  return Value::tuple(as_values(runtime, parts));
}

Value split_text_lines(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const bool keep_ends = arguments.bind("splitlines", {"keepends"}).truth(0);
  return Value::list(as_values(runtime, split_lines(*self.as_text(), keep_ends)));
}

Value join_texts(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("join", {"iterable"}, 1);
  std::string result;
  bool is_first = true;
  for (const Value& item : runtime.iterate(bound[0])) {
    if (item.is_undefined()) item.fail_undefined();
    if (!item.as_text())
      raise(ErrorCode::InvalidArgument,
            "'join' of a text needs texts, found '{}' (the filter '| join' takes any)",
            item.type_name());
    runtime.budget().charge_bytes(item.as_text()->size() + self.as_text()->size());
    if (!is_first) result += *self.as_text();
    result += *item.as_text();
    is_first = false;
  }
  return Value(std::move(result));
}

Value replace_text(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("replace", {"old", "new", "count"}, 2);
  return replace_all(runtime, *self.as_text(), bound.text(0), bound.text(1), bound.integer(2, -1));
}

// Where find, index, count, startswith and endswith look: code points [begin, end).
struct Window {
  std::string_view text;
  int64_t begin;
  bool is_empty;  // it begins behind the text: nothing is found, not even ""
};
Window window(const Value& self, const BoundArguments& bound) {
  const std::string_view text = *self.as_text();
  const auto size = static_cast<int64_t>(num_code_points(text));
  const auto place = [&](size_t i, int64_t otherwise) {
    if (!bound.has_value(i)) return otherwise;
    const int64_t at = bound.integer(i);
    return at < 0 ? std::max<int64_t>(at + size, 0) : at;
  };
  const int64_t begin = place(1, 0), end = std::min(place(2, size), size);
  if (begin > end) return {{}, begin, true};
  return {slice_code_points(text, static_cast<size_t>(begin), static_cast<size_t>(end)), begin,
          false};
}

template <bool from_right, bool must_be_there>
Value find_text(Runtime&, const Value& self, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("find", {"sub", "start", "end"}, 1);
  const std::string wanted = bound.text(0);
  const Window where = window(self, bound);
  const size_t at = where.is_empty ? std::string_view::npos
                    : from_right   ? where.text.rfind(wanted)
                                   : where.text.find(wanted);
  if (at != std::string_view::npos)
    return Value(where.begin + static_cast<int64_t>(num_code_points(where.text.substr(0, at))));
  if (must_be_there)
    raise(ErrorCode::InvalidArgument, "'{}' is not in the text", wanted.substr(0, 60));
  return Value(int64_t{-1});
}

Value count_text(Runtime&, const Value& self, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("count", {"sub", "start", "end"}, 1);
  const std::string wanted = bound.text(0);
  const Window where = window(self, bound);
  if (where.is_empty) return Value(int64_t{0});
  if (wanted.empty()) return Value(static_cast<int64_t>(num_code_points(where.text)) + 1);
  int64_t count = 0;
  for (size_t at = where.text.find(wanted); at != std::string_view::npos;
       at = where.text.find(wanted, at + wanted.size()))
    ++count;
  return Value(count);
}

template <bool at_end>
Value has_affix(Runtime&, const Value& self, const Arguments& arguments) {
  const BoundArguments bound =
      arguments.bind(at_end ? "endswith" : "startswith", {"prefix", "start", "end"}, 1);
  const Window where = window(self, bound);
  const auto matches = [&](const std::string& affix) {
    return !where.is_empty &&
           (at_end ? where.text.ends_with(affix) : where.text.starts_with(affix));
  };
  if (const Sequence* several = bound[0].as_tuple())
    return Value(std::any_of(several->items.begin(), several->items.end(), [&](const Value& affix) {
      return affix.as_text() && matches(*affix.as_text());
    }));
  return Value(matches(bound.text(0)));
}

template <bool at_end>
Value remove_affix(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string affix = arguments.bind("removeprefix", {"prefix"}, 1).text(0);
  std::string_view text = *self.as_text();
  if (at_end ? text.ends_with(affix) : text.starts_with(affix))
    text = at_end ? text.substr(0, text.size() - affix.size()) : text.substr(affix.size());
  return runtime.make_text(std::string(text));
}

template <Sides sides>
Value justify_text(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("center", {"width", "fillchar"}, 1);
  const std::string fill = bound.text(1, " ");
  if (num_code_points(fill) != 1)
    raise(ErrorCode::InvalidArgument, "'fillchar' has to be one character");
  return sides == Sides::Both
             ? center(runtime, *self.as_text(), bound.integer(0), fill)
             : justify(runtime, *self.as_text(), bound.integer(0), fill, sides == Sides::Right);
}

Value fill_with_zeros(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const int64_t width = arguments.bind("zfill", {"width"}, 1).integer(0);
  const std::string& text = *self.as_text();
  const bool has_sign = !text.empty() && (text[0] == '-' || text[0] == '+');
  const Value padded =
      justify(runtime, std::string_view(text).substr(has_sign), width - has_sign, "0", true);
  return runtime.make_text(text.substr(0, has_sign) + *padded.as_text());
}

Value expand_tabs(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const int64_t size = arguments.bind("expandtabs", {"tabsize"}).integer(0, 8);
  std::string result;
  int64_t column = 0;
  for (const char32_t c : decode(*self.as_text())) {
    if (c == U'\t') {
      if (size <= 0) continue;
      const int64_t spaces = size - column % size;
      runtime.budget().charge_bytes(static_cast<uint64_t>(spaces));
      result.append(static_cast<size_t>(spaces), ' ');
      column += spaces;
    } else {
      append_code_point(result, c);
      column = c == U'\n' || c == U'\r' ? 0 : column + 1;
    }
  }
  return runtime.make_text(std::move(result));
}

Value format_text(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return format_braces(runtime, *self.as_text(), arguments);
}

constexpr MethodEntry kTextMethods[] = {
    {"capitalize", change_text<to_capitalized>},
    {"casefold", change_text<to_casefold>},
    {"center", justify_text<Sides::Both>},
    {"count", count_text},
    {"endswith", has_affix<true>},
    {"expandtabs", expand_tabs},
    {"find", find_text<false, false>},
    {"format", format_text},
    {"index", find_text<false, true>},
    {"isalnum", ask_text<all_characters<is_alphanumeric>>},
    {"isalpha", ask_text<all_characters<is_alpha>>},
    {"isascii", ask_text<is_ascii_text>},
    {"isdecimal", ask_text<all_characters<is_decimal>>},
    {"isdigit", ask_text<all_characters<is_digit>>},
    {"isidentifier", ask_text<is_identifier>},
    {"islower", ask_text<is_lower_text>},
    {"isnumeric", ask_text<all_characters<is_numeric>>},
    {"isprintable", ask_text<is_printable_text>},
    {"isspace", ask_text<all_characters<is_space>>},
    {"istitle", ask_text<is_title_text>},
    {"isupper", ask_text<is_upper_text>},
    {"join", join_texts},
    {"ljust", justify_text<Sides::Left>},
    {"lower", change_text<to_lower>},
    {"lstrip", strip_text<Sides::Left>},
    {"partition", partition_text<false>},
    {"removeprefix", remove_affix<false>},
    {"removesuffix", remove_affix<true>},
    {"replace", replace_text},
    {"rfind", find_text<true, false>},
    {"rindex", find_text<true, true>},
    {"rjust", justify_text<Sides::Right>},
    {"rpartition", partition_text<true>},
    {"rsplit", split_text<true>},
    {"rstrip", strip_text<Sides::Right>},
    {"split", split_text<false>},
    {"splitlines", split_text_lines},
    {"startswith", has_affix<false>},
    {"strip", strip_text<Sides::Both>},
    {"swapcase", change_text<to_swapped_case>},
    {"title", change_text<to_title>},
    {"upper", change_text<to_upper>},
    {"zfill", fill_with_zeros},
};

// ---- list and tuple ----

Value index_of_item(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("index", {"value", "start", "stop"}, 1);
  const Values& items = self.as_sequence()->items;
  const auto size = static_cast<int64_t>(items.size());
  const auto place = [&](size_t i, int64_t otherwise) {
    const int64_t at = bound.integer(i, otherwise);
    return at < 0 ? std::max<int64_t>(at + size, 0) : at;
  };
  const int64_t stop = std::min(place(2, size), size);
  for (int64_t i = place(1, 0); i < stop; ++i)
    if (are_equal(items[static_cast<size_t>(i)], bound[0], runtime.budget())) return Value(i);
  raise(ErrorCode::InvalidArgument, "{} is not in the {}",
        to_repr(bound[0], runtime.budget()).substr(0, 60), self.type_name());
}

Value count_items(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("count", {"value"}, 1);
  int64_t count = 0;
  for (const Value& item : self.as_sequence()->items)
    count += are_equal(item, bound[0], runtime.budget());
  return Value(count);
}

Value copy_list(Runtime& runtime, const Value& self, const Arguments& arguments) {
  arguments.expect_none("copy");
  return runtime.make_list(self.as_sequence()->items);
}

Value append_item(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("append", {"object"}, 1);
  expect_apart(&self, bound[0], runtime.budget());
  runtime.budget().charge_bytes(sizeof(Value));
  self.as_sequence()->items.push_back(bound[0]);
  return Value();
}

Value extend_list(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("extend", {"iterable"}, 1);
  const Values items = runtime.iterate(bound[0]);
  for (const Value& item : items) {
    expect_apart(&self, item, runtime.budget());
  }
  Values& own = self.as_sequence()->items;
  own.insert(own.end(), items.begin(), items.end());
  return Value();
}

Value insert_item(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("insert", {"index", "object"}, 2);
  expect_apart(&self, bound[1], runtime.budget());
  Values& items = self.as_sequence()->items;
  runtime.budget().charge_bytes((items.size() + 1) * sizeof(Value));
  const auto size = static_cast<int64_t>(items.size());
  int64_t at = bound.integer(0);
  at = std::clamp<int64_t>(at < 0 ? at + size : at, 0, size);
  items.insert(items.begin() + at, bound[1]);
  return Value();
}

Value pop_item(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("pop", {"index"});
  Values& items = self.as_sequence()->items;
  const auto size = static_cast<int64_t>(items.size());
  int64_t at = bound.integer(0, -1);
  if (at < 0) at += size;
  if (at < 0 || at >= size)
    raise(ErrorCode::InvalidArgument, "'pop' of a place that a list of {} does not have", size);
  runtime.budget().charge_steps(items.size());
  Value item = items[static_cast<size_t>(at)];
  items.erase(items.begin() + at);
  return item;
}

Value remove_item(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Value at = index_of_item(runtime, self, arguments);
  Values& items = self.as_sequence()->items;
  items.erase(items.begin() + *at.as_integer());
  return Value();
}

Value reverse_list(Runtime& runtime, const Value& self, const Arguments& arguments) {
  arguments.expect_none("reverse");
  Values& items = self.as_sequence()->items;
  runtime.budget().charge_steps(items.size());
  std::reverse(items.begin(), items.end());
  return Value();
}

Value clear_list(Runtime&, const Value& self, const Arguments& arguments) {
  arguments.expect_none("clear");
  self.as_sequence()->items.clear();
  return Value();
}

constexpr MethodEntry kTupleMethods[] = {{"count", count_items}, {"index", index_of_item}};
constexpr MethodEntry kListMethods[] = {{"append", append_item}, {"clear", clear_list},
                                        {"copy", copy_list},     {"count", count_items},
                                        {"extend", extend_list}, {"index", index_of_item},
                                        {"insert", insert_item}, {"pop", pop_item},
                                        {"remove", remove_item}, {"reverse", reverse_list}};

// ---- dict ----

Value dict_get(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("get", {"key", "default"}, 1);
  if (!is_hashable(bound[0]))
    raise(ErrorCode::InvalidArgument, "a '{}' cannot be the key of a dict", bound[0].type_name());
  if (const Value* found = self.as_dict()->find(bound[0], runtime.budget())) return *found;
  return bound.has(1) ? bound[1] : Value();
}

enum class Part { Keys, Values, Items };
template <Part part>
Value dict_view(Runtime& runtime, const Value& self, const Arguments& arguments) {
  arguments.expect_none("a view of a dict");
  Values items;
  runtime.budget().charge_bytes(self.as_dict()->entries.size() * 3 * sizeof(Value));
  for (const auto& [key, value] : self.as_dict()->entries)
    items.push_back(part == Part::Keys     ? key
                    : part == Part::Values ? value
                                           : Value::tuple({key, value}));
  return Value::view(std::move(items), part == Part::Keys     ? "dict_keys"
                                       : part == Part::Values ? "dict_values"
                                                              : "dict_items");
}

Value copy_dict(Runtime& runtime, const Value& self, const Arguments& arguments) {
  arguments.expect_none("copy");
  runtime.budget().charge_bytes(self.as_dict()->entries.size() * 2 * sizeof(Value));
  return Value(std::make_shared<Dict>(*self.as_dict()));
}

void put(Runtime& runtime, const Value& self, const Value& key, const Value& value) {
  if (!is_hashable(key))
    raise(ErrorCode::InvalidArgument, "a '{}' cannot be the key of a dict", key.type_name());
  expect_apart(&self, key, runtime.budget());
  expect_apart(&self, value, runtime.budget());
  runtime.budget().charge_bytes(2 * sizeof(Value));
  self.as_dict()->set(key, value, runtime.budget());
}

Value update_dict(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (arguments.positional.size() > 1)
    raise(ErrorCode::InvalidArgument, "'update' takes one dict and names");
  if (!arguments.positional.empty()) {
    const Dict* other = arguments.positional[0].as_dict();
    if (!other)
      raise(ErrorCode::InvalidArgument, "'update' needs a dict, found '{}'",
            arguments.positional[0].type_name());
    const Dict copy = *other;
    for (const auto& [key, value] : copy.entries) put(runtime, self, key, value);
  }
  for (const auto& [name, value] : arguments.named) put(runtime, self, Value(name), value);
  return Value();
}

Value pop_key(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("pop", {"key", "default"}, 1);
  auto& entries = self.as_dict()->entries;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!are_equal(entries[i].first, bound[0], runtime.budget())) continue;
    Value value = entries[i].second;
    entries.erase(entries.begin() + static_cast<ptrdiff_t>(i));
    return value;
  }
  if (bound.has(1)) return bound[1];
  raise(ErrorCode::InvalidArgument, "'pop' of a key that the dict does not have");
}

Value set_default(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("setdefault", {"key", "default"}, 1);
  if (const Value* found = self.as_dict()->find(bound[0], runtime.budget())) return *found;
  const Value value = bound.has(1) ? bound[1] : Value();
  put(runtime, self, bound[0], value);
  return value;
}

constexpr MethodEntry kDictMethods[] = {{"copy", copy_dict},
                                        {"get", dict_get},
                                        {"items", dict_view<Part::Items>},
                                        {"keys", dict_view<Part::Keys>},
                                        {"pop", pop_key},
                                        {"setdefault", set_default},
                                        {"update", update_dict},
                                        {"values", dict_view<Part::Values>}};

std::span<const MethodEntry> methods_of(const Value& self) {
  if (self.as_text()) return kTextMethods;
  if (self.as_list()) return kListMethods;
  if (self.as_tuple()) return kTupleMethods;
  if (self.as_dict()) return kDictMethods;
  return {};
}

}  // namespace

std::optional<Value> find_method(const Value& self, std::string_view name) {
  for (const MethodEntry& entry : methods_of(self))
    if (entry.name == name) return Value(std::make_shared<Method>(self, entry.function));
  return std::nullopt;
}

std::vector<std::string> method_names(const Value& self) {
  std::vector<std::string> names;
  for (const MethodEntry& entry : methods_of(self)) names.emplace_back(entry.name);
  return names;
}

}  // namespace flanmoe::text::jinja
