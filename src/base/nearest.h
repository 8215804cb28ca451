// Names close to a mistyped one, for error messages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace flanmoe {

// Edit distance with adjacent transpositions (optimal string alignment), in bytes.
size_t edit_distance(std::string_view a, std::string_view b);

// The candidate nearest to `name`, or "" where none is near (distance above max(2, length / 3), or
// no byte shared). Ties go to the first.
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

// " (did you mean 'x'?)" or, where nothing is near, " (one of: a, b, c)".
std::string suggestion(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace flanmoe
