// What readers of text files have in common.
#pragma once

#include <string>
#include <string_view>

namespace flanmoe::data {

// Whether a file is called `*suffix` or, compressed, `*suffix.gz`.
inline bool is_named(std::string_view path, std::string_view suffix) {
  if (path.ends_with(".gz")) path.remove_suffix(3);
  return path.ends_with(suffix);
}

inline bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n\f\v") == std::string_view::npos;
}

}  // namespace flanmoe::data
