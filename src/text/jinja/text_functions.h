// What several methods and filters of texts share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/runtime.h"

namespace flanmoe::text::jinja {

// str.strip(chars) on the wanted sides.
std::string strip_characters(std::string_view text, std::string_view characters, bool left,
                             bool right);
// str.split(separator, limit) and rsplit; a limit below 0 is none.
std::vector<std::string_view> split_at(std::string_view text, std::string_view separator,
                                       int64_t limit, bool from_right);
// str.split(None, limit) and rsplit.
std::vector<std::string_view> split_at_space(std::string_view text, int64_t limit, bool from_right);
// str.replace(old, replacement, count); a count below 0 is none.
Value replace_all(Runtime& runtime, std::string_view text, std::string_view old,
                  std::string_view replacement, int64_t count);
// str.center(), and ljust() or rjust().
Value center(Runtime& runtime, std::string_view text, int64_t width, std::string_view fill);
Value justify(Runtime& runtime, std::string_view text, int64_t width, std::string_view fill,
              bool to_right);

// str.islower(), isupper(), istitle().
bool is_lower_text(std::string_view text);
bool is_upper_text(std::string_view text);
bool is_title_text(std::string_view text);

}  // namespace flanmoe::text::jinja
