#include "peft/sites.h"

#include <set>

#include "base/error.h"
#include "base/nearest.h"

namespace flanmoe::peft {
namespace {

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

SitePattern::SitePattern(std::string text, const std::string& place) : text_(std::move(text)) {
  if (text_.size() <= 2 || text_.front() != '/' || text_.back() != '/') return;
  try {
    regex_.emplace(text_.substr(1, text_.size() - 2));
  } catch (const std::regex_error& error) {
    fail(ErrorCode::InvalidConfig, "[{}] '{}' is no regular expression: {}", place, text_,
         error.what());
  }
}

bool SitePattern::matches(const std::string& name) const {
  if (regex_) return std::regex_search(name, *regex_);
  return name == text_ || name.ends_with("." + text_);
}

std::vector<const nn::Site*> choose_sites(const nn::Sites& sites,
                                          const std::vector<std::string>& patterns,
                                          const std::string& place) {
  std::vector<bool> is_chosen(sites.size(), false);
  for (const std::string& text : patterns) {
    const SitePattern pattern(text, place);
    bool is_used = false;
    for (size_t i = 0; i < sites.size(); ++i)
      if (pattern.matches(sites[i].name)) is_chosen[i] = is_used = true;
    if (!is_used)
      fail(ErrorCode::InvalidConfig, "[{}] '{}' matches no module of the model{}", place, text,
           suggestion(text, short_names(sites)));
  }
  std::vector<const nn::Site*> chosen;
  for (size_t i = 0; i < sites.size(); ++i)
    if (is_chosen[i]) chosen.push_back(&sites[i]);
  return chosen;
}

}  // namespace flanmoe::peft
