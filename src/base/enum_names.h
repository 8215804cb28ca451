// Enumerations and their names, from one list.
//
//   enum class Schedule { Constant, Linear };
//   template <> struct flanmoe::EnumNames<Schedule> {
//     static constexpr std::pair<Schedule, std::string_view> values[] = {{Schedule::Constant,
//     "constant"}, ...};
//   };
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace flanmoe {

template <class Enum>
struct EnumNames;

template <class Enum>
concept NamedEnum = requires {
  EnumNames<Enum>::values;
};

template <NamedEnum Enum>
std::string to_string(Enum value) {
  for (const auto& [candidate, name] : EnumNames<Enum>::values)
    if (candidate == value) return std::string(name);
  return "?";
}

template <NamedEnum Enum>
std::optional<Enum> parse_enum(std::string_view text) {
  for (const auto& [candidate, name] : EnumNames<Enum>::values)
    if (name == text) return candidate;
  return std::nullopt;
}

template <NamedEnum Enum>
std::vector<std::string> enum_names() {
  std::vector<std::string> names;
  for (const auto& [candidate, name] : EnumNames<Enum>::values) names.emplace_back(name);
  return names;
}

}  // namespace flanmoe
