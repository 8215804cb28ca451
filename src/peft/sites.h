// Choosing sites by pattern.
#pragma once

#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "nn/delta.h"

namespace flanmoe::peft {

// A site's name, its end behind a dot (as `peft` matches target_modules), or /regex/ (ECMAScript),
// which is found anywhere in the name.
class SitePattern {
 public:
  // Throws InvalidConfig naming `place` where the text is no regular expression.
  SitePattern(std::string text, const std::string& place);
  bool matches(const std::string& name) const;
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::optional<std::regex> regex_;
};

// The sites that a pattern matches, in the order of `sites`. Throws InvalidConfig naming `place`
// where one matches nothing, with the nearest names.
std::vector<const nn::Site*> choose_sites(const nn::Sites& sites,
                                          const std::vector<std::string>& patterns,
                                          const std::string& place);

}  // namespace flanmoe::peft
