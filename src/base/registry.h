// A named list of makers of one kind of thing (routers, optimizers, metrics, ...), filled by one
// explicit function per kind. Refuses duplicates; an unknown name answers with the nearest one.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/nearest.h"

namespace flanmoe {

template <class Entry>
class Registry {
 public:
  // `kind` is the word used in messages: "router", "optimizer".
  explicit Registry(std::string kind) : kind_(std::move(kind)) {}

  void add(const std::string& name, Entry entry) {
    if (!entries_.emplace(name, std::move(entry)).second)
      fail(ErrorCode::Internal, "[{}] '{}' is registered twice", kind_, name);
  }

  bool contains(const std::string& name) const { return entries_.count(name) > 0; }

  // Throws NotFound naming the near match and, where there is none, all names.
  const Entry& get(const std::string& name) const {
    auto found = entries_.find(name);
    if (found == entries_.end())
      fail(ErrorCode::NotFound, "[{}] unknown {} '{}'{}", kind_, kind_, name,
           suggestion(name, names()));
    return found->second;
  }

  // Sorted.
  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& [name, entry] : entries_) result.push_back(name);
    return result;
  }

 private:
  std::string kind_;
  std::map<std::string, Entry> entries_;
};

}  // namespace flanmoe
