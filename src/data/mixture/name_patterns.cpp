#include "data/mixture/name_patterns.h"

#include <algorithm>
#include <regex>

#include "base/error.h"

namespace flanmoe::data {

struct NamePatterns::Pattern {
  std::string text;
  std::regex regex;
};

NamePatterns::NamePatterns(const std::vector<std::string>& patterns, const std::string& key) {
  for (const std::string& pattern : patterns) {
    try {
      patterns_.push_back(std::make_shared<const Pattern>(Pattern{pattern, std::regex(pattern)}));
    } catch (const std::regex_error& error) {
      fail(ErrorCode::InvalidConfig, "[data.mixture] {}: '{}' is no regular expression: {}", key,
           pattern, error.what());
    }
  }
}

bool NamePatterns::find_in(const std::string& name) const {
  return std::any_of(patterns_.begin(), patterns_.end(),
                     [&](const auto& pattern) { return std::regex_search(name, pattern->regex); });
}

bool NamePatterns::match(const std::string& name) const {
  return std::any_of(patterns_.begin(), patterns_.end(), [&](const auto& pattern) {
    return pattern->text == name || std::regex_match(name, pattern->regex);
  });
}

}  // namespace flanmoe::data
