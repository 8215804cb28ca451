#include "text/jinja/text_functions.h"

#include <algorithm>

#include "text/jinja/unicode.h"

namespace flanmoe::text::jinja {
namespace {

std::string repeat_fill(std::string_view fill, int64_t count) {
  std::string result;
  for (int64_t i = 0; i < count; ++i) result += fill;
  return result;
}

int64_t missing_width(Runtime& runtime, std::string_view text, int64_t width) {
  const int64_t missing = std::max<int64_t>(width - static_cast<int64_t>(num_code_points(text)), 0);
  runtime.budget().charge_bytes(static_cast<uint64_t>(missing) * 4);
  return missing;
}

template <bool (*is_wanted)(char32_t), bool (*is_other)(char32_t)>
bool has_case(std::string_view text) {
  bool has_any = false;
  for (const char32_t c : decode(text)) {
    if (is_other(c) || is_title(c)) return false;
    has_any |= is_wanted(c);
  }
  return has_any;
}

}  // namespace

std::string strip_characters(std::string_view text, std::string_view characters, bool left,
                             bool right) {
  const std::u32string wide = decode(text), set = decode(characters);
  const auto is_in_set = [&](char32_t c) { return set.find(c) != std::u32string::npos; };
  size_t begin = 0, end = wide.size();
  while (left && begin < end && is_in_set(wide[begin])) ++begin;
  while (right && end > begin && is_in_set(wide[end - 1])) --end;
  return encode(std::u32string_view(wide).substr(begin, end - begin));
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator,
                                       int64_t limit, bool from_right) {
  std::vector<std::string_view> parts;
  if (!from_right) {
    while (limit != 0) {
      const size_t at = text.find(separator);
      if (at == std::string_view::npos) break;
      parts.push_back(text.substr(0, at));
      text.remove_prefix(at + separator.size());
      --limit;
    }
    parts.push_back(text);
    return parts;
  }
  while (limit != 0) {
    const size_t at = text.rfind(separator);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(at + separator.size()));
    text = text.substr(0, at);
    --limit;
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_at_space(std::string_view text, int64_t limit,
                                             bool from_right) {
  std::vector<std::string_view> words;
  text = from_right ? strip_right(text) : strip_left(text);
  while (!text.empty()) {
    if (limit == 0) {
      words.push_back(text);
      break;
    }
    --limit;
    size_t at = 0;
    if (!from_right) {
      while (at < text.size()) {
        const std::string_view character = slice_code_points(text.substr(at), 0, 1);
        if (is_space(decode(character)[0])) break;
        at += character.size();
      }
      words.push_back(text.substr(0, at));
      text = strip_left(text.substr(at));
    } else {
      at = text.size();
      while (at > 0) {
        size_t begin = at - 1;
        while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
        if (is_space(decode(text.substr(begin, at - begin))[0])) break;
        at = begin;
      }
      words.push_back(text.substr(at));
      text = strip_right(text.substr(0, at));
    }
  }
  if (from_right) std::reverse(words.begin(), words.end());
  return words;
}

Value replace_all(Runtime& runtime, std::string_view text, std::string_view old,
                  std::string_view replacement, int64_t count) {
  std::string result;
  const auto append = [&](std::string_view part) {
    runtime.budget().charge_bytes(part.size());
    result += part;
  };
  if (old.empty()) {
    // before every character and at the end
    for (size_t at = 0; count != 0; --count) {
      append(replacement);
      if (at >= text.size()) {
        text = {};
        break;
      }
      const std::string_view character = slice_code_points(text.substr(at), 0, 1);
      append(character);
      at += character.size();
      if (count == 1) text.remove_prefix(at);
    }
    append(text);
    return Value(std::move(result));
  }
  for (size_t at = 0; count != 0; --count) {
    const size_t found = text.find(old, at);
    if (found == std::string_view::npos) {
      append(text.substr(at));
      return Value(std::move(result));
    }
    append(text.substr(at, found - at));
    append(replacement);
    at = found + old.size();
    if (count == 1) text.remove_prefix(at);
  }
  append(text);
  return Value(std::move(result));
}

Value center(Runtime& runtime, std::string_view text, int64_t width, std::string_view fill) {
  const int64_t missing = missing_width(runtime, text, width);
  const int64_t left = missing / 2 + (missing & width & 1);
  return runtime.make_text(repeat_fill(fill, left) + std::string(text) +
                           repeat_fill(fill, missing - left));
}

Value justify(Runtime& runtime, std::string_view text, int64_t width, std::string_view fill,
              bool to_right) {
  const std::string padding = repeat_fill(fill, missing_width(runtime, text, width));
  return runtime.make_text(to_right ? padding + std::string(text) : std::string(text) + padding);
}

bool is_lower_text(std::string_view text) {
  return has_case<is_lower, is_upper>(text);
}

bool is_upper_text(std::string_view text) {
  return has_case<is_upper, is_lower>(text);
}

bool is_title_text(std::string_view text) {
  bool has_any = false, follows_cased = false;
  for (const char32_t c : decode(text)) {
    if (is_upper(c) || is_title(c)) {
      if (follows_cased) return false;
      follows_cased = has_any = true;
    } else if (is_lower(c)) {
      if (!follows_cased) return false;
      has_any = true;
    } else {
      follows_cased = false;
    }
  }
  return has_any;
}

}  // namespace flanmoe::text::jinja
