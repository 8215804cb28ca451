#include "base/nearest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "base/random.h"

namespace flanmoe {
namespace {

// Optimal string alignment straight from its recursive definition.
size_t slow_distance(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return a.size() + b.size();
  const auto last = [](std::string_view s, size_t n) { return s.substr(0, s.size() - n); };
  size_t best = std::min({slow_distance(last(a, 1), b) + 1, slow_distance(a, last(b, 1)) + 1,
                          slow_distance(last(a, 1), last(b, 1)) + (a.back() != b.back())});
  if (a.size() > 1 && b.size() > 1 && a[a.size() - 1] == b[b.size() - 2] &&
      a[a.size() - 2] == b[b.size() - 1])
    best = std::min(best, slow_distance(last(a, 2), last(b, 2)) + 1);
  return best;
}

TEST(EditDistance, CountsEachKindOfEditOnce) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("router", "router"), 0u);
  EXPECT_EQ(edit_distance("router", "roter"), 1u);
  EXPECT_EQ(edit_distance("roter", "router"), 1u);
  EXPECT_EQ(edit_distance("router", "rooter"), 1u);
  EXPECT_EQ(edit_distance("router", "ruoter"), 1u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("ca", "abc"), 3u);  // 2 only where a transposed pair may be edited again
}

TEST(EditDistance, AgreesWithItsDefinitionOnRandomWords) {
  RandomStream random(RandomKey(1, RandomPurpose::Sampling));
  for (int trial = 0; trial < 300; ++trial) {
    std::string a(random.below(6), ' '), b(random.below(6), ' ');
    for (char& c : a) c = static_cast<char>('a' + random.below(3));
    for (char& c : b) c = static_cast<char>('a' + random.below(3));
    EXPECT_EQ(edit_distance(a, b), slow_distance(a, b)) << a << " " << b;
    EXPECT_EQ(edit_distance(a, b), edit_distance(b, a)) << a << " " << b;
  }
}

TEST(NearestName, IsTheClosestAndTheFirstOfEquals) {
  EXPECT_EQ(nearest_name("num_expert", {"num_layers", "num_experts", "num_heads"}), "num_experts");
  EXPECT_EQ(nearest_name("ab", {"ac", "ad"}), "ac");
}

TEST(NearestName, IsEmptyWhereNothingIsNear) {
  EXPECT_EQ(nearest_name("temperature", {"steps", "router"}), "");
  EXPECT_EQ(nearest_name("x", {"ab", "cd"}), "");
  EXPECT_EQ(nearest_name("x", {}), "");
  EXPECT_EQ(nearest_name("abcdef", {"abcxyz"}), "");                 // distance 3, limit 2
  EXPECT_EQ(nearest_name("abcdefghi", {"abcdefxyz"}), "abcdefxyz");  // distance 3, limit 3
}

TEST(Suggestion, NamesTheNearestOrListsAll) {
  EXPECT_EQ(suggestion("adamv", {"adamw", "adafactor"}), " (did you mean 'adamw'?)");
  EXPECT_EQ(suggestion("lion", {"adamw", "adafactor"}), " (one of: adamw, adafactor)");
  EXPECT_EQ(suggestion("lion", {}), "");
}

TEST(Suggestion, KeepsALongListShort) {
  std::vector<std::string> names;
  for (int i = 0; i < 1000; ++i) names.push_back("a_long_task_name_" + std::to_string(i));
  const std::string text = suggestion("x", names);
  EXPECT_LT(text.size(), 2000u);
  EXPECT_TRUE(text.ends_with(" and 940 more)")) << text;
}

}  // namespace
}  // namespace flanmoe
