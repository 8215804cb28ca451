// UTF-8.
#pragma once

#include <cstddef>
#include <string_view>

namespace flanmoe {

// Bytes of the character at the start of `text`, which is not empty; 0 where there is none: a stray
// or missing byte, a form longer than needed, a surrogate or a code above U+10FFFF.
size_t utf8_character_bytes(std::string_view text);

// Offset of the first byte that is not UTF-8; npos where all is.
size_t find_invalid_utf8(std::string_view text);

}  // namespace flanmoe
