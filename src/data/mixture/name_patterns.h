// Regular expressions on names of tasks and templates.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace flanmoe::data {

class NamePatterns {
 public:
  NamePatterns() = default;
  // `key` is where the patterns were given. Throws InvalidConfig for one that is none.
  NamePatterns(const std::vector<std::string>& patterns, const std::string& key);
  bool empty() const { return patterns_.empty(); }
  // Whether a part of the name matches one of them.
  bool find_in(const std::string& name) const;
  // Whether the whole name does, or is the text of one.
  bool match(const std::string& name) const;

 private:
  struct Pattern;
  std::vector<std::shared_ptr<const Pattern>> patterns_;
};

}  // namespace flanmoe::data
