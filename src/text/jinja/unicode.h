// Text as Python sees it: a sequence of code points. Everything takes and gives valid UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace flanmoe::text::jinja {

bool is_valid_utf8(std::string_view text);
std::u32string decode(std::string_view utf8);
std::string encode(std::u32string_view code_points);
void append_code_point(std::string& utf8, char32_t c);
size_t num_code_points(std::string_view utf8);
// Bytes [first, last) of the code points [begin, end), which lie within the text.
std::string_view slice_code_points(std::string_view utf8, size_t begin, size_t end);

// Python's str.isspace(), isalpha(), ... of one code point.
bool is_space(char32_t c);
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);
bool is_digit(char32_t c);
bool is_numeric(char32_t c);
bool is_word(char32_t c);  // \w of Python's re
bool is_lower(char32_t c);
bool is_upper(char32_t c);
bool is_title(char32_t c);
bool is_printable(char32_t c);
int decimal_value(char32_t c);  // -1 where it is no decimal digit

// Full case mappings, as str.lower(), upper(), casefold(), capitalize(), title() and swapcase().
std::string to_lower(std::string_view text);
std::string to_upper(std::string_view text);
std::string to_casefold(std::string_view text);
std::string to_capitalized(std::string_view text);
std::string to_title(std::string_view text);
std::string to_swapped_case(std::string_view text);

// str.strip(), lstrip(), rstrip() without argument.
std::string_view strip_left(std::string_view text);
std::string_view strip_right(std::string_view text);
std::string_view strip(std::string_view text);
// str.splitlines().
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends = false);

}  // namespace flanmoe::text::jinja
