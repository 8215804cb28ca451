#include "text/jinja/unicode.h"

#include <unicode/locid.h>
#include <unicode/ucasemap.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <memory>

namespace flanmoe::text::jinja {
namespace {

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

char32_t next_code_point(std::string_view text, size_t& at) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  int32_t i = static_cast<int32_t>(at);
  UChar32 c;
  U8_NEXT(bytes, i, static_cast<int32_t>(text.size()), c);
  at = static_cast<size_t>(i);
  return c < 0 ? U'\uFFFD' : static_cast<char32_t>(c);
}

char32_t last_code_point(std::string_view text, size_t& end) {
  size_t begin = end - 1;
  while (begin > 0 && is_continuation(text[begin])) --begin;
  size_t at = begin;
  const char32_t c = next_code_point(text, at);
  end = begin;
  return c;
}

template <class Change>
std::string change_case(std::string_view text, Change change) {
  icu::UnicodeString wide = icu::UnicodeString::fromUTF8(
      icu::StringPiece(text.data(), static_cast<int32_t>(text.size())));
  change(wide);
  std::string result;
  wide.toUTF8String(result);
  return result;
}

template <class Change>
std::string change_ascii_case(std::string_view text, Change change) {
  std::string result(text);
  for (char& c : result) c = change(c);
  return result;
}

char ascii_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

char ascii_upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

bool is_cased(char32_t c) {
  return is_lower(c) || is_upper(c) || is_title(c);
}

bool is_followed_by_cased(std::string_view text, size_t at) {
  while (at < text.size()) {
    const char32_t c = next_code_point(text, at);
    if (!u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_CASE_IGNORABLE)) return is_cased(c);
  }
  return false;
}

// Full title mapping of one character.
std::string titlecase(std::string_view character) {
  if (character.size() == 1) return std::string(1, ascii_upper(character[0]));
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<UCaseMap, decltype(&ucasemap_close)> map(
      ucasemap_open(
          "", U_TITLECASE_WHOLE_STRING | U_TITLECASE_NO_BREAK_ADJUSTMENT | U_TITLECASE_NO_LOWERCASE,
          &status),
      &ucasemap_close);
  char buffer[64];
  const int32_t size = ucasemap_utf8ToTitle(map.get(), buffer, sizeof(buffer), character.data(),
                                            static_cast<int32_t>(character.size()), &status);
  return U_FAILURE(status) ? std::string(character)
                           : std::string(buffer, static_cast<size_t>(size));
}

bool is_line_end(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

}  // namespace

bool is_valid_utf8(std::string_view text) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  const auto size = static_cast<int32_t>(text.size());
  for (int32_t i = 0; i < size;) {
    UChar32 c;
    U8_NEXT(bytes, i, size, c);
    if (c < 0) return false;
  }
  return true;
}

std::u32string decode(std::string_view utf8) {
  std::u32string result;
  result.reserve(utf8.size());
  for (size_t at = 0; at < utf8.size();) result += next_code_point(utf8, at);
  return result;
}

void append_code_point(std::string& utf8, char32_t c) {
  if (c < 0x80) {
    utf8 += static_cast<char>(c);
  } else if (c < 0x800) {
    utf8 += static_cast<char>(0xC0 | (c >> 6));
    utf8 += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    utf8 += static_cast<char>(0xE0 | (c >> 12));
    utf8 += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    utf8 += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    utf8 += static_cast<char>(0xF0 | (c >> 18));
    utf8 += static_cast<char>(0x80 | ((c >> 12) & 0x3F));
    utf8 += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    utf8 += static_cast<char>(0x80 | (c & 0x3F));
  }
}

std::string encode(std::u32string_view code_points) {
  std::string result;
  result.reserve(code_points.size());
  for (const char32_t c : code_points) append_code_point(result, c);
  return result;
}

size_t num_code_points(std::string_view utf8) {
  return static_cast<size_t>(
      std::count_if(utf8.begin(), utf8.end(), [](char c) { return !is_continuation(c); }));
}

std::string_view slice_code_points(std::string_view utf8, size_t begin, size_t end) {
  if (end <= begin) return {};
  size_t first = 0, at = 0, index = 0;
  const auto skip_to = [&](size_t wanted) {
    while (index < wanted && at < utf8.size()) {
      ++at;
      while (at < utf8.size() && is_continuation(utf8[at])) ++at;
      ++index;
    }
    return at;
  };
  first = skip_to(begin);
  return utf8.substr(first, skip_to(end) - first);
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

bool is_alpha(char32_t c) {
  return (U_MASK(u_charType(static_cast<UChar32>(c))) & U_GC_L_MASK) != 0;
}

bool is_decimal(char32_t c) {
  return u_charType(static_cast<UChar32>(c)) == U_DECIMAL_DIGIT_NUMBER;
}

bool is_digit(char32_t c) {
  const int32_t type = u_getIntPropertyValue(static_cast<UChar32>(c), UCHAR_NUMERIC_TYPE);
  return type == U_NT_DECIMAL || type == U_NT_DIGIT;
}

bool is_numeric(char32_t c) {
  return u_getIntPropertyValue(static_cast<UChar32>(c), UCHAR_NUMERIC_TYPE) != U_NT_NONE;
}

bool is_word(char32_t c) {
  return c == U'_' || is_alpha(c) || is_numeric(c);
}

bool is_lower(char32_t c) {
  return u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_LOWERCASE);
}

bool is_upper(char32_t c) {
  return u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_UPPERCASE);
}

bool is_title(char32_t c) {
  return u_charType(static_cast<UChar32>(c)) == U_TITLECASE_LETTER;
}

bool is_printable(char32_t c) {
  return c == U' ' ||
         (U_MASK(u_charType(static_cast<UChar32>(c))) & (U_GC_C_MASK | U_GC_Z_MASK)) == 0;
}

int decimal_value(char32_t c) {
  return is_decimal(c) ? u_charDigitValue(static_cast<UChar32>(c)) : -1;
}

std::string to_lower(std::string_view text) {
  if (is_ascii(text)) return change_ascii_case(text, ascii_lower);
  return change_case(text, [](icu::UnicodeString& s) { s.toLower(icu::Locale::getRoot()); });
}

std::string to_upper(std::string_view text) {
  if (is_ascii(text)) return change_ascii_case(text, ascii_upper);
  return change_case(text, [](icu::UnicodeString& s) { s.toUpper(icu::Locale::getRoot()); });
}

std::string to_casefold(std::string_view text) {
  if (is_ascii(text)) return change_ascii_case(text, ascii_lower);
  return change_case(text, [](icu::UnicodeString& s) { s.foldCase(); });
}

std::string to_capitalized(std::string_view text) {
  const std::string_view first = slice_code_points(text, 0, 1);
  return titlecase(first) + to_lower(text).substr(to_lower(first).size());
}

std::string to_title(std::string_view text) {
  std::string result;
  bool follows_cased = false;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_code_point(text, at);
    const std::string_view character = text.substr(begin, at - begin);
    if (!follows_cased)
      result += titlecase(character);
    else if (c == U'\u03A3' && !is_followed_by_cased(text, at))
      result += "\u03C2";  // a final sigma
    else
      result += to_lower(character);
    follows_cased = is_cased(c);
  }
  return result;
}

std::string to_swapped_case(std::string_view text) {
  std::string result;
  bool follows_cased = false;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_code_point(text, at);
    const std::string_view character = text.substr(begin, at - begin);
    const bool ends_word = c == U'\u03A3' && follows_cased && !is_followed_by_cased(text, at);
    result += ends_word     ? "\u03C2"  // a final sigma
              : is_upper(c) ? to_lower(character)
              : is_lower(c) ? to_upper(character)
                            : std::string(character);
    if (!u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_CASE_IGNORABLE))
      follows_cased = is_cased(c);
  }
  return result;
}

std::string_view strip_left(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    if (!is_space(next_code_point(text, at))) return text.substr(begin);
  }
  return text.substr(text.size());
}

std::string_view strip_right(std::string_view text) {
  for (size_t end = text.size(); end > 0;) {
    const size_t last = end;
    if (!is_space(last_code_point(text, end))) return text.substr(0, last);
  }
  return text.substr(0, 0);
}

std::string_view strip(std::string_view text) {
  return strip_right(strip_left(text));
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t line = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = at;
    const char32_t c = next_code_point(text, at);
    if (!is_line_end(c)) continue;
    if (c == U'\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(line, (keep_ends ? at : end) - line));
    line = at;
  }
  if (line < text.size()) lines.push_back(text.substr(line));
  return lines;
}

}  // namespace flanmoe::text::jinja
