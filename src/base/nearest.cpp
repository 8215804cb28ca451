#include "base/nearest.h"

#include <algorithm>

namespace flanmoe {

namespace {

constexpr size_t kMaxListedNames = 60;

}  // namespace

size_t edit_distance(std::string_view a, std::string_view b) {
  // Three rows of the dynamic programme: a transposition looks two rows back.
  std::vector<size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    std::swap(before, above);
    std::swap(above, row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  const size_t limit = std::max<size_t>(2, name.size() / 3);
  size_t best = limit + 1;
  std::string result;
  for (const auto& candidate : candidates) {
    const size_t distance = edit_distance(name, candidate);
    if (distance >= best || distance >= std::max(name.size(), candidate.size())) continue;
    best = distance;
    result = candidate;
  }
  return result;
}

std::string suggestion(std::string_view name, const std::vector<std::string>& candidates) {
  if (candidates.empty()) return {};
  if (std::string nearest = nearest_name(name, candidates); !nearest.empty())
    return " (did you mean '" + nearest + "'?)";
  std::string list;
  for (size_t i = 0; i < std::min(candidates.size(), kMaxListedNames); ++i)
    list += (i ? ", " : "") + candidates[i];
  if (candidates.size() > kMaxListedNames)
    list += " and " + std::to_string(candidates.size() - kMaxListedNames) + " more";
  return " (one of: " + list + ")";
}

}  // namespace flanmoe
