#include "peft/sites.h"

#include <algorithm>
#include <regex>
#include <set>

#include "base/error.h"
#include "base/nearest.h"

namespace flanmoe::peft {
namespace {

bool is_regex(const std::string& pattern) {
  return pattern.size() >= 2 && pattern.front() == '/' && pattern.back() == '/';
}

std::function<bool(const std::string&)> make_matcher(const std::string& pattern,
                                                     const std::string& place) {
  if (!is_regex(pattern))
    return [pattern](const std::string& name) {
      return name == pattern || name.ends_with("." + pattern);
    };
  try {
    const std::regex regex(pattern.substr(1, pattern.size() - 2));
    return [regex](const std::string& name) { return std::regex_search(name, regex); };
  } catch (const std::regex_error& error) {
    fail(ErrorCode::InvalidConfig, "[{}] '{}' is no regular expression: {}", place, pattern,
         error.what());
  }
}

// The last part and the last two parts of every name: what patterns mostly are.
std::vector<std::string> short_names(const nn::Sites& sites) {
  std::set<std::string> names;
  for (const nn::Site& site : sites) {
    const size_t last = site.name.rfind('.');
    names.insert(site.name.substr(last + 1));
    const size_t before = site.name.rfind('.', last - 1);
    names.insert(site.name.substr(before + 1));
  }
  return {names.begin(), names.end()};
}

}  // namespace

std::vector<const nn::Site*> choose_sites(const nn::Sites& sites,
                                          const std::vector<std::string>& patterns,
                                          const std::string& place) {
  std::vector<bool> is_chosen(sites.size(), false);
  for (const std::string& pattern : patterns) {
    const auto matches = make_matcher(pattern, place);
    bool is_used = false;
    for (size_t i = 0; i < sites.size(); ++i)
      if (matches(sites[i].name)) is_chosen[i] = is_used = true;
    if (!is_used)
      fail(ErrorCode::InvalidConfig, "[{}] '{}' matches no module of the model{}", place, pattern,
           suggestion(pattern, short_names(sites)));
  }
  std::vector<const nn::Site*> chosen;
  for (size_t i = 0; i < sites.size(); ++i)
    if (is_chosen[i]) chosen.push_back(&sites[i]);
  return chosen;
}

}  // namespace flanmoe::peft
