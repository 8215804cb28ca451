#include "text/jinja/lexer.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "text/jinja/unicode.h"

namespace flanmoe::text::jinja {
namespace {

bool is_ascii_digit(char c) {
  return c >= '0' && c <= '9';
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize_newlines(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) read_text();
    push(TokenKind::End, "");
    return std::move(tokens_);
  }

 private:
  // Every newline becomes "\n"; one at the very end goes.
  static std::string normalize_newlines(std::string_view source) {
    std::string result;
    result.reserve(source.size());
    for (size_t i = 0; i < source.size(); ++i) {
      if (source[i] == '\r') {
        result += '\n';
        if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
      } else {
        result += source[i];
      }
    }
    if (!result.empty() && result.back() == '\n') result.pop_back();
    return result;
  }

  bool starts_with(std::string_view text) const {
    return std::string_view(source_).substr(at_).starts_with(text);
  }
  void push(TokenKind kind, std::string text) {
    tokens_.push_back({kind, std::move(text), Value(), line_});
  }
  void advance(size_t count) {
    line_ +=
        static_cast<int>(std::count(source_.begin() + static_cast<ptrdiff_t>(at_),
                                    source_.begin() + static_cast<ptrdiff_t>(at_ + count), '\n'));
    at_ += count;
  }
  void skip_space() {
    const std::string_view rest = std::string_view(source_).substr(at_);
    advance(rest.size() - strip_left(rest).size());
  }

  // Text up to the next opening, then what that opens.
  void read_text() {
    size_t end = at_;
    while (end < source_.size()) {
      end = source_.find('{', end);
      if (end == std::string::npos || end + 1 >= source_.size()) {
        end = source_.size();
        break;
      }
      const char next = source_[end + 1];
      if (next == '{' || next == '%' || next == '#') break;
      ++end;
    }
    std::string_view text = std::string_view(source_).substr(at_, end - at_);
    const bool is_end = end >= source_.size();
    const bool strips = !is_end && end + 2 < source_.size() && source_[end + 2] == '-';
    if (strips) text = strip_right(text);
    if (!text.empty()) push(TokenKind::Text, std::string(text));
    advance(end - at_);
    if (is_end) return;

    const char kind = source_[at_ + 1];
    const bool has_sign =
        at_ + 2 < source_.size() && (source_[at_ + 2] == '-' || source_[at_ + 2] == '+');
    if (kind == '#') {
      read_comment(has_sign ? 3 : 2);
    } else if (kind == '%') {
      if (read_raw_block()) return;
      push(TokenKind::TagBegin, "{%");
      advance(has_sign ? 3 : 2);
      read_expression(TokenKind::TagEnd, "%}");
    } else {
      push(TokenKind::PrintBegin, "{{");
      advance(has_sign ? 3 : 2);
      read_expression(TokenKind::PrintEnd, "}}");
    }
  }

  void read_comment(size_t begin_size) {
    const size_t begin = at_ + begin_size;
    const size_t end = source_.find("#}", begin);
    if (end == std::string::npos) fail_syntax(line_, "'{{#' is never closed by '#}}'");
    const bool strips = end > begin && source_[end - 1] == '-';
    advance(end + 2 - at_);
    if (strips) skip_space();
  }

  // "{% raw %}...{% endraw %}" at the present place.
  bool read_raw_block() {
    size_t name_end = 0;
    if (!match_raw_tag(at_, "raw", name_end)) return false;
    const int line = line_;
    const bool strips_begin = source_[name_end - 3] == '-';
    advance(name_end - at_);
    if (strips_begin) skip_space();
    for (size_t end = source_.find("{%", at_); end != std::string::npos;
         end = source_.find("{%", end + 2)) {
      size_t tag_end = 0;
      if (!match_raw_tag(end, "endraw", tag_end)) continue;
      std::string_view text = std::string_view(source_).substr(at_, end - at_);
      if (source_[end + 2] == '-') text = strip_right(text);
      if (!text.empty()) push(TokenKind::Text, std::string(text));
      const bool strips_end = source_[tag_end - 3] == '-';
      advance(tag_end - at_);
      if (strips_end) skip_space();
      return true;
    }
    fail_syntax(line, "'raw' is never closed by 'endraw'");
  }
  bool match_raw_tag(size_t at, std::string_view name, size_t& end) const {
    const std::string_view source(source_);
    std::string_view rest = source.substr(at + 2);
    if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) rest.remove_prefix(1);
    rest = strip_left(rest);
    if (!rest.starts_with(name)) return false;
    rest = strip_left(rest.substr(name.size()));
    if (rest.starts_with("-%}") || (name == "endraw" && rest.starts_with("+%}")))
      rest.remove_prefix(3);
    else if (rest.starts_with("%}"))
      rest.remove_prefix(2);
    else
      return false;
    end = source.size() - rest.size();
    return true;
  }

  void read_expression(TokenKind end_kind, std::string_view end) {
    const int first_line = line_;
    std::string open;
    while (true) {
      skip_space();
      if (at_ >= source_.size())
        fail_syntax(first_line, "'{}' is never closed by '{}'",
                    end_kind == TokenKind::TagEnd ? "{%" : "{{", end);
      if (open.empty()) {
        const char sign = source_[at_];
        const bool has_sign = (sign == '-' || (sign == '+' && end_kind == TokenKind::TagEnd)) &&
                              std::string_view(source_).substr(at_ + 1).starts_with(end);
        if (has_sign || starts_with(end)) {
          push(end_kind, std::string(end));
          advance(end.size() + (has_sign ? 1 : 0));
          if (has_sign && sign == '-') skip_space();
          return;
        }
      }
      read_token(open);
    }
  }

  void read_token(std::string& open) {
    const char c = source_[at_];
    if (is_ascii_digit(c)) return read_number();
    if (c == '"' || c == '\'') return read_string(c);
    if (const size_t size = name_size(); size > 0) {
      push(TokenKind::Name, source_.substr(at_, size));
      return advance(size);
    }
    static constexpr std::string_view operators[] = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    for (const std::string_view text : operators) {
      if (!starts_with(text)) continue;
      if (text == "(" || text == "[" || text == "{") {
        open += c == '(' ? ')' : c == '[' ? ']' : '}';
      } else if (text == ")" || text == "]" || text == "}") {
        if (open.empty()) fail_syntax(line_, "unexpected '{}'", text);
        if (open.back() != c)
          fail_syntax(line_, "unexpected '{}', expected '{}'", text, open.back());
        open.pop_back();
      }
      push(TokenKind::Operator, std::string(text));
      return advance(text.size());
    }
    const std::string_view rest = std::string_view(source_).substr(at_);
    fail_syntax(line_, "unexpected character '{}'", slice_code_points(rest, 0, 1));
  }

  size_t name_size() const {
    const std::string_view rest = std::string_view(source_).substr(at_);
    size_t size = 0;
    while (size < rest.size()) {
      const auto byte = static_cast<unsigned char>(rest[size]);
      if (byte < 0x80) {
        const bool is_part = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                             byte == '_' || (byte >= '0' && byte <= '9');
        if (!is_part) break;
        ++size;
      } else {
        const std::string_view character = slice_code_points(rest.substr(size), 0, 1);
        const char32_t c = decode(character)[0];
        if (size == 0 ? !is_alpha(c) : !is_word(c)) break;
        size += character.size();
      }
    }
    return size;
  }

  // The digits from `at`, with single '_' between them; nothing but digits of `base`.
  size_t digits_end(size_t at, int base) const {
    const auto is_of_base = [&](size_t i) {
      if (i >= source_.size()) return false;
      const char c = source_[i];
      const int value = is_ascii_digit(c)        ? c - '0'
                        : (c >= 'a' && c <= 'f') ? c - 'a' + 10
                        : (c >= 'A' && c <= 'F') ? c - 'A' + 10
                                                 : 99;
      return value < base;
    };
    if (!is_of_base(at)) return at;
    size_t end = at + 1;
    while (true) {
      if (is_of_base(end))
        ++end;
      else if (end < source_.size() && source_[end] == '_' && is_of_base(end + 1))
        end += 2;
      else
        return end;
    }
  }

  void read_number() {
    const bool follows_dot = !tokens_.empty() && tokens_.back().is(".");
    if (!follows_dot) {
      const size_t whole = digits_end(at_, 10);
      size_t end = whole;
      if (end < source_.size() && source_[end] == '.' && digits_end(end + 1, 10) > end + 1)
        end = digits_end(end + 1, 10);
      size_t exponent = end;
      if (exponent < source_.size() && (source_[exponent] == 'e' || source_[exponent] == 'E')) {
        ++exponent;
        if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-'))
          ++exponent;
        if (digits_end(exponent, 10) > exponent) end = digits_end(exponent, 10);
      }
      if (end > whole) {
        const std::string digits = without_underscores(at_, end);
        double value = 0;
        value = std::strtod(digits.c_str(), nullptr);
        return push_constant(Value(value), end);
      }
    }
    int base = 10;
    size_t begin = at_, end = 0;
    if (source_[at_] == '0' && at_ + 1 < source_.size()) {
      const char c = source_[at_ + 1];
      base = c == 'b' || c == 'B' ? 2 : c == 'o' || c == 'O' ? 8 : c == 'x' || c == 'X' ? 16 : 10;
      if (base != 10) {
        // a '_' may stand right behind the prefix
        begin = at_ + 2 + (at_ + 2 < source_.size() && source_[at_ + 2] == '_' ? 1 : 0);
        end = digits_end(begin, base);
        if (end == begin) base = 10;
      }
    }
    if (base == 10) {
      begin = at_;
      // of "012" Jinja2 takes the zeros alone
      end = digits_end(at_, source_[at_] == '0' ? 1 : 10);
    }
    const std::string digits = without_underscores(begin, end);
    int64_t value = 0;
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (result.ec != std::errc())
      fail_syntax(line_, "{} does not fit into 64 bits with a sign",
                  source_.substr(at_, end - at_));
    push_constant(Value(value), end);
  }
  std::string without_underscores(size_t begin, size_t end) const {
    std::string digits = source_.substr(begin, end - begin);
    digits.erase(std::remove(digits.begin(), digits.end(), '_'), digits.end());
    return digits;
  }
  void push_constant(Value value, size_t end) {
    tokens_.push_back(
        {TokenKind::Constant, source_.substr(at_, end - at_), std::move(value), line_});
    advance(end - at_);
  }

  // Escapes as in a Python literal.
  void read_string(char quote) {
    std::string value;
    size_t i = at_ + 1;
    for (; i < source_.size() && source_[i] != quote; ++i) {
      if (source_[i] != '\\') {
        value += source_[i];
        continue;
      }
      if (++i >= source_.size()) break;
      const char c = source_[i];
      static constexpr std::string_view letters = "abfnrtv\\'\"";
      static constexpr std::string_view meanings = "\a\b\f\n\r\t\v\\'\"";
      if (const size_t simple = letters.find(c); simple != std::string_view::npos) {
        value += meanings[simple];
      } else if (c == '\n') {
      } else if (c >= '0' && c <= '7') {
        uint32_t code = 0;
        size_t digits = 0;
        for (; digits < 3 && i + digits < source_.size() && source_[i + digits] >= '0' &&
               source_[i + digits] <= '7';
             ++digits)
          code = code * 8 + static_cast<uint32_t>(source_[i + digits] - '0');
        append_code_point(value, code);
        i += digits - 1;
      } else if (c == 'x' || c == 'u' || c == 'U') {
        const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        const std::string hex = source_.substr(i + 1, digits);
        uint32_t code = 0;
        const auto result = std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
        if (hex.size() != digits || result.ptr != hex.data() + hex.size() || code > 0x10FFFF ||
            (code >= 0xD800 && code < 0xE000))
          fail_syntax(line_, "'\\{}{}' is no character", c, hex);
        append_code_point(value, code);
        i += digits;
      } else if (c == 'N') {
        fail_syntax(line_, "'\\N' (a character by its name) is not supported; write \\uXXXX");
      } else {
        value += '\\';
        value += c;
      }
    }
    if (i >= source_.size()) fail_syntax(line_, "a text is opened by {} and never closed", quote);
    push_constant(Value(std::move(value)), i + 1);
  }

  std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  if (!is_valid_utf8(source)) fail_syntax(1, "the template is not UTF-8");
  return Lexer(source).run();
}

}  // namespace flanmoe::text::jinja
