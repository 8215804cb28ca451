#include "text/jinja/format.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "text/jinja/operators.h"
#include "text/jinja/unicode.h"

namespace flanmoe::text::jinja {
namespace {

constexpr int64_t kMaxPrecision = 1000;

struct Layout {
  std::string fill = " ";
  char align = 0;  // '<', '>', '^', '='; 0: by kind
  char sign = '-';
  bool is_alternate = false;
  int64_t width = 0;
  char grouping = 0;
  int64_t precision = -1;
  char type = 0;
};

Value padded(Runtime& runtime, std::string_view sign, std::string_view body, const Layout& layout,
             char default_align) {
  const char align = layout.align ? layout.align : default_align;
  const auto size = static_cast<int64_t>(num_code_points(sign) + num_code_points(body));
  const int64_t missing = std::max<int64_t>(layout.width - size, 0);
  runtime.budget().charge_bytes(static_cast<uint64_t>(missing) * 4);
  const int64_t before = align == '>' || align == '=' ? missing : align == '^' ? missing / 2 : 0;
  const auto fill = [&](int64_t count) {
    std::string text;
    for (int64_t i = 0; i < count; ++i) text += layout.fill;
    return text;
  };
  std::string result;
  if (align == '=') result += sign;
  result += fill(before);
  if (align != '=') result += sign;
  result += body;
  result += fill(missing - before);
  return runtime.make_text(std::move(result));
}

std::string_view sign_of(bool is_negative, char sign) {
  return is_negative ? "-" : sign == '+' ? "+" : sign == ' ' ? " " : "";
}

std::string grouped(std::string digits, char separator, size_t every) {
  if (separator == 0) return digits;
  const size_t whole = std::min(digits.find_first_of(".eE"), digits.size());
  for (size_t i = whole; i > every; i -= every) digits.insert(i - every, 1, separator);
  return digits;
}

[[noreturn]] void fail_type(char type, const Value& value) {
  if (value.is_undefined()) value.fail_undefined();
  raise(ErrorCode::InvalidArgument, "format '{}' does not go with '{}'", type, value.type_name());
}

Value format_integer(Runtime& runtime, int64_t value, const Layout& layout) {
  const uint64_t magnitude =
      value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  std::string digits, prefix;
  switch (layout.type) {
    case 'x':
      digits = fmt::format("{:x}", magnitude);
      prefix = "0x";
      break;
    case 'X':
      digits = fmt::format("{:X}", magnitude);
      prefix = "0X";
      break;
    case 'o':
      digits = fmt::format("{:o}", magnitude);
      prefix = "0o";
      break;
    case 'b':
      digits = fmt::format("{:b}", magnitude);
      prefix = "0b";
      break;
    default:
      digits = std::to_string(magnitude);
  }
  if (layout.precision > static_cast<int64_t>(digits.size()))
    digits.insert(0, static_cast<size_t>(layout.precision) - digits.size(), '0');
  const bool is_decimal_number = prefix.empty();
  digits = grouped(std::move(digits), layout.grouping, is_decimal_number ? 3 : 4);
  std::string sign(sign_of(value < 0, layout.sign));
  if (layout.is_alternate) sign += prefix;
  return padded(runtime, sign, digits, layout, '>');
}

Value format_float(Runtime& runtime, double value, const Layout& layout) {
  const double magnitude = std::abs(value);
  const bool is_negative = std::signbit(value) && !std::isnan(value);
  const bool is_upper = layout.type == 'E' || layout.type == 'F' || layout.type == 'G';
  std::string digits;
  const auto print = [&](char type, double number, int64_t precision) {
    const std::string pattern =
        fmt::format("{{:{}.{}{}}}", layout.is_alternate ? "#" : "", precision, type);
    return fmt::format(fmt::runtime(pattern), number);
  };
  if (!std::isfinite(magnitude)) {
    digits = std::isnan(value) ? "nan" : "inf";
    if (layout.type == '%') digits += '%';
  } else if (layout.type == 0 && layout.precision < 0) {
    digits = float_repr(magnitude);
  } else {
    const int64_t precision = layout.precision < 0 ? 6 : layout.precision;
    switch (layout.type) {
      case '%':
        digits = print('f', magnitude * 100, precision) + "%";
        break;
      case 'e':
      case 'E':
        digits = print('e', magnitude, precision);
        break;
      case 'f':
      case 'F':
        digits = print('f', magnitude, precision);
        break;
      default:
        digits = print('g', magnitude, std::max<int64_t>(precision, 1));
        if (layout.type == 0 && digits.find_first_of(".e") == std::string::npos) {
          // as 'g', but never without a digit behind the point
          if (static_cast<int64_t>(digits.size()) < std::max<int64_t>(precision, 1))
            digits += ".0";
          else
            digits = print('e', magnitude, std::max<int64_t>(precision, 1) - 1);
          if (const size_t e = digits.find('e'); e != std::string::npos) {
            size_t end = e;
            while (end > 1 && digits[end - 1] == '0' && digits.find('.') < end) --end;
            if (digits[end - 1] == '.') --end;
            digits.erase(end, e - end);
          }
        }
    }
  }
  if (is_upper) digits = to_upper(digits);
  digits = grouped(std::move(digits), layout.grouping, 3);
  return padded(runtime, sign_of(is_negative, layout.sign), digits, layout, '>');
}

Value format_text(Runtime& runtime, std::string_view text, const Layout& layout,
                  char default_align) {
  std::string_view shown = text;
  if (layout.precision >= 0)
    shown = slice_code_points(text, 0, static_cast<size_t>(layout.precision));
  return padded(runtime, "", shown, layout, default_align);
}

// Digits at `at` of an ASCII specification.
std::optional<int64_t> read_count(std::u32string_view spec, size_t& at) {
  if (at >= spec.size() || spec[at] < U'0' || spec[at] > U'9') return std::nullopt;
  int64_t count = 0;
  while (at < spec.size() && spec[at] >= U'0' && spec[at] <= U'9') {
    count = count * 10 + static_cast<int64_t>(spec[at++] - U'0');
    if (count > 1'000'000'000)
      raise(ErrorCode::InvalidArgument, "a width of a format is too large");
  }
  return count;
}

void check_precision(int64_t precision) {
  if (precision > kMaxPrecision)
    raise(ErrorCode::InvalidArgument, "a precision of {} is above {}", precision, kMaxPrecision);
}

// ---- text % values ----

class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, std::string_view text, const Value& values)
      : runtime_(runtime), text_(decode(text)), values_(values) {
    if (const Sequence* tuple = values.as_tuple())
      items_ = tuple->items;
    else
      items_.push_back(values);
  }

  Value run() {
    std::string result;
    while (at_ < text_.size()) {
      const char32_t c = text_[at_++];
      if (c != U'%')
        append_code_point(result, c);
      else
        result += *read_conversion().as_text();
    }
    if (next_ < items_.size() && !has_names_ && !(values_.as_dict() || values_.as_list()))
      raise(ErrorCode::InvalidArgument, "there are more values than places in the format");
    return runtime_.make_text(std::move(result));
  }

 private:
  char32_t peek() const {
    if (at_ >= text_.size())
      raise(ErrorCode::InvalidArgument, "the format ends in the middle of '%'");
    return text_[at_];
  }
  const Value& take() {
    if (next_ >= items_.size())
      raise(ErrorCode::InvalidArgument, "there are fewer values than places in the format");
    return items_[next_++];
  }
  int64_t read_number() {
    if (peek() != U'*') return read_count(text_, at_).value_or(0);
    ++at_;
    const Value& count = take();
    if (!count.as_integer() || *count.as_integer() > 1'000'000'000)
      raise(ErrorCode::InvalidArgument, "'*' needs an integer, found '{}'", count.type_name());
    return *count.as_integer();
  }

  Value read_conversion() {
    Layout layout;
    const Value* named = nullptr;
    if (peek() == U'(') {
      const size_t end = text_.find(U')', at_);
      if (end == std::u32string::npos) raise(ErrorCode::InvalidArgument, "'%(' is never closed");
      const Dict* dict = values_.as_dict();
      if (!dict) raise(ErrorCode::InvalidArgument, "'%(name)' needs a dict or names");
      const std::string name = encode(std::u32string_view(text_).substr(at_ + 1, end - at_ - 1));
      named = dict->find(Value(name), runtime_.budget());
      if (!named) raise(ErrorCode::NotFound, "the format names '{}', which is not there", name);
      has_names_ = true;
      at_ = end + 1;
    }
    bool has_zero = false;
    for (;; ++at_) {
      const char32_t flag = peek();
      if (flag == U'-')
        layout.align = '<';
      else if (flag == U'+')
        layout.sign = '+';
      else if (flag == U' ')
        layout.sign = layout.sign == '+' ? '+' : ' ';
      else if (flag == U'#')
        layout.is_alternate = true;
      else if (flag == U'0')
        has_zero = true;
      else
        break;
    }
    layout.width = read_number();
    if (layout.width < 0) {
      layout.align = '<';
      layout.width = -layout.width;
    }
    if (peek() == U'.') {
      ++at_;
      layout.precision = std::max<int64_t>(read_number(), 0);
      check_precision(layout.precision);
    }
    while (peek() == U'l' || peek() == U'h' || peek() == U'L') ++at_;
    const char32_t type = peek();
    ++at_;
    if (type == U'%') return Value("%");
    const Value& value = named ? *named : take();
    const auto is_one_of = [&](std::u32string_view types) {
      return types.find(type) != std::u32string_view::npos;
    };
    if (is_one_of(U"srac")) {
      std::string text;
      if (type == U'c') {
        if (value.as_integer() && *value.as_integer() >= 0 && *value.as_integer() <= 0x10FFFF &&
            !(*value.as_integer() >= 0xD800 && *value.as_integer() < 0xE000))
          append_code_point(text, static_cast<char32_t>(*value.as_integer()));
        else if (value.as_text() && num_code_points(*value.as_text()) == 1)
          text = *value.as_text();
        else
          fail_type('c', value);
        layout.precision = -1;
      } else {
        text = type == U's' ? runtime_.text(value) : to_repr(value, runtime_.budget());
      }
      return format_text(runtime_, text, layout, '>');
    }
    if (is_one_of(U"diuoxX")) {
      layout.type = static_cast<char>(type);
      std::optional<int64_t> integer = value.as_integer();
      if (!integer && value.as_float() && type != U'x' && type != U'X' && type != U'o' &&
          std::abs(*value.as_float()) < 0x1p63)
        integer = static_cast<int64_t>(*value.as_float());
      if (!integer) fail_type(layout.type, value);
      set_zero(layout, has_zero);
      return format_integer(runtime_, *integer, layout);
    }
    if (is_one_of(U"eEfFgG")) {
      layout.type = static_cast<char>(type);
      const auto number = value.as_number();
      if (!number) fail_type(layout.type, value);
      set_zero(layout, has_zero && std::isfinite(*number));
      return format_float(runtime_, *number, layout);
    }
    std::string shown;
    append_code_point(shown, type);
    raise(ErrorCode::InvalidArgument, "unknown format '%{}'", shown);
  }
  static void set_zero(Layout& layout, bool has_zero) {
    if (!has_zero || layout.align == '<') return;
    layout.fill = "0";
    layout.align = '=';
  }

  Runtime& runtime_;
  std::u32string text_;
  const Value& values_;
  Values items_;
  size_t at_ = 0, next_ = 0;
  bool has_names_ = false;
};

// ---- text.format(...) ----

Layout parse_layout(std::u32string_view spec) {
  Layout layout;
  size_t at = 0;
  const auto is_align = [](char32_t c) { return c == U'<' || c == U'>' || c == U'^' || c == U'='; };
  if (spec.size() >= 2 && is_align(spec[1])) {
    layout.fill = encode(spec.substr(0, 1));
    layout.align = static_cast<char>(spec[1]);
    at = 2;
  } else if (!spec.empty() && is_align(spec[0])) {
    layout.align = static_cast<char>(spec[0]);
    at = 1;
  }
  const auto next_is = [&](char32_t c) { return at < spec.size() && spec[at] == c; };
  if (next_is(U'+') || next_is(U'-') || next_is(U' ')) layout.sign = static_cast<char>(spec[at++]);
  if (next_is(U'#')) {
    layout.is_alternate = true;
    ++at;
  }
  if (next_is(U'0') && layout.align == 0) {
    layout.fill = "0";
    layout.align = '=';
    ++at;
  }
  layout.width = read_count(spec, at).value_or(0);
  if (next_is(U',') || next_is(U'_')) layout.grouping = static_cast<char>(spec[at++]);
  if (next_is(U'.')) {
    ++at;
    const auto precision = read_count(spec, at);
    if (!precision) raise(ErrorCode::InvalidArgument, "a format has no number behind '.'");
    check_precision(*precision);
    layout.precision = *precision;
  }
  if (at + 1 == spec.size() && spec[at] < 0x80) layout.type = static_cast<char>(spec[at++]);
  if (at != spec.size()) raise(ErrorCode::InvalidArgument, "'{}' is no format", encode(spec));
  return layout;
}

Value format_value(Runtime& runtime, const Value& value, std::u32string_view spec) {
  if (spec.empty()) return runtime.make_text(runtime.text(value));
  Layout layout = parse_layout(spec);
  const auto has_type = [&](std::string_view types) {
    return types.find(layout.type) != std::string_view::npos;
  };
  if (const std::string* text = value.as_text()) {
    if ((layout.type != 0 && layout.type != 's') || layout.align == '=')
      fail_type(layout.type ? layout.type : '=', value);
    return format_text(runtime, *text, layout, '<');
  }
  if (value.as_integer() && (layout.type == 0 || has_type("dxXobn"))) {
    if (layout.precision >= 0)
      raise(ErrorCode::InvalidArgument, "an integer has no precision in a format");
    if (layout.type == 0 && value.as_bool())
      return format_integer(runtime, *value.as_bool(), layout);
    return format_integer(runtime, *value.as_integer(), layout);
  }
  if (value.as_number() && (layout.type == 0 || has_type("eEfFgGn%")))
    return format_float(runtime, *value.as_number(), layout);
  fail_type(layout.type ? layout.type : 's', value);
}

class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, std::string_view text, const Arguments& arguments)
      : runtime_(runtime), arguments_(arguments), text_(decode(text)) {}

  Value run() { return runtime_.make_text(format(text_, 0)); }

 private:
  std::string format(std::u32string_view text, int depth) {
    std::string result;
    for (size_t i = 0; i < text.size(); ++i) {
      const char32_t c = text[i];
      if (c != U'{' && c != U'}') {
        append_code_point(result, c);
        continue;
      }
      if (i + 1 < text.size() && text[i + 1] == c && depth == 0) {
        append_code_point(result, c);
        ++i;
        continue;
      }
      if (c == U'}') raise(ErrorCode::InvalidArgument, "'}}' of a format closes nothing");
      size_t end = i + 1;
      for (int open = 1; end < text.size(); ++end) {
        open += text[end] == U'{' ? 1 : text[end] == U'}' ? -1 : 0;
        if (open == 0) break;
      }
      if (end >= text.size()) raise(ErrorCode::InvalidArgument, "'{{' of a format is never closed");
      if (depth > 1) raise(ErrorCode::InvalidArgument, "a format is nested too deep");
      result += *format_field(text.substr(i + 1, end - i - 1), depth).as_text();
      i = end;
    }
    return result;
  }

  Value format_field(std::u32string_view field, int depth) {
    size_t bracket = 0, end = 0;
    for (; end < field.size(); ++end) {
      if (field[end] == U'[') bracket = 1;
      if (field[end] == U']') bracket = 0;
      if (bracket == 0 && (field[end] == U':' || field[end] == U'!')) break;
    }
    Value value = look_up(encode(field.substr(0, end)));
    if (end < field.size() && field[end] == U'!') {
      if (end + 1 >= field.size() || (end + 2 < field.size() && field[end + 2] != U':'))
        raise(ErrorCode::InvalidArgument, "expected one of !s, !r in a format");
      const char32_t conversion = field[end + 1];
      if (conversion == U's')
        value = Value(runtime_.text(value));
      else if (conversion == U'r' || conversion == U'a')
        value = Value(to_repr(value, runtime_.budget()));
      else
        raise(ErrorCode::InvalidArgument, "expected one of !s, !r in a format");
      end += 2;
    }
    std::u32string spec;
    if (end < field.size()) spec = decode(format(field.substr(end + 1), depth + 1));
    return format_value(runtime_, value, spec);
  }

  Value look_up(std::string_view path) {
    const size_t end = std::min(path.find_first_of(".["), path.size());
    const std::string_view name = path.substr(0, end);
    Value value;
    const bool is_number =
        !name.empty() && name.find_first_not_of("0123456789") == std::string_view::npos;
    if (name.empty() || is_number) {
      const auto index =
          name.empty() ? static_cast<int64_t>(next_++) : parse_integer(name).value_or(0);
      if (index >= static_cast<int64_t>(arguments_.positional.size()))
        raise(ErrorCode::InvalidArgument, "the format asks for argument {} of {}", index,
              arguments_.positional.size());
      value = arguments_.positional[static_cast<size_t>(index)];
    } else {
      const auto found = std::find_if(arguments_.named.begin(), arguments_.named.end(),
                                      [&](const auto& entry) { return entry.first == name; });
      if (found == arguments_.named.end())
        raise(ErrorCode::NotFound, "the format names '{}', which is not there", name);
      value = found->second;
    }
    for (size_t at = end; at < path.size();) {
      if (path[at] == '.') {
        const size_t stop = std::min(path.find_first_of(".[", at + 1), path.size());
        if (value.as_dict())
          raise(ErrorCode::NotFound, "'{}' of a format: an item of a dict is asked for by [...]",
                path);
        value = get_attribute(runtime_, value, path.substr(at + 1, stop - at - 1));
        at = stop;
      } else {
        const size_t stop = path.find(']', at);
        if (path[at] != '[' || stop == std::string_view::npos)
          raise(ErrorCode::InvalidArgument, "'{}' of a format cannot be read", path);
        const std::string_view key = path.substr(at + 1, stop - at - 1);
        const bool is_index =
            !key.empty() && key.find_first_not_of("0123456789") == std::string_view::npos;
        value = get_item(runtime_, value,
                         is_index ? Value(parse_integer(key).value_or(0)) : Value(key));
        at = stop + 1;
      }
      if (value.is_undefined()) value.fail_undefined();
    }
    return value;
  }

  Runtime& runtime_;
  const Arguments& arguments_;
  std::u32string text_;
  size_t next_ = 0;
};

}  // namespace

Value format_percent(Runtime& runtime, std::string_view text, const Value& values) {
  runtime.budget().charge_bytes(text.size() * sizeof(char32_t));
  return PercentFormatter(runtime, text, values).run();
}

Value format_braces(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  runtime.budget().charge_bytes(text.size() * sizeof(char32_t));
  return BraceFormatter(runtime, text, arguments).run();
}

}  // namespace flanmoe::text::jinja
