#include "eval/metrics/exact_match.h"

#include <gtest/gtest.h>

namespace flanmoe::eval {
namespace {

TEST(NormaliseAnswer, TakesAwayCaseSpaceAndTheFinalFullStop) {
  const std::pair<const char*, const char*> table[] = {
      {"Paris", "paris"},  {"  Paris \n", "paris"},      {"New\t York", "new york"},
      {"Paris.", "paris"}, {"Paris .", "paris"},         {"Paris. ", "paris"},
      {"3.5", "3.5"},      {"U.S.A.", "u.s.a"},          {"", ""},
      {"   ", ""},         {"The answer", "the answer"}, {"\xc3\x84pfel", "\xc3\x84pfel"},
      {"yes!", "yes!"},    {"a\r\n b", "a b"},           {"Fals", "fals"},
  };
  for (const auto& [text, want] : table) {
    EXPECT_EQ(normalise_answer(text), want) << "'" << text << "'";
    EXPECT_EQ(normalise_answer(normalise_answer(text)), want) << "'" << text << "'";
  }
}

TEST(ExactMatch, TakesAnyReference) {
  data::Example example;
  example.targets = "New York";
  EXPECT_TRUE(is_exact_match(" new  york.", example));
  EXPECT_FALSE(is_exact_match("newyork", example));
  EXPECT_FALSE(is_exact_match("New York City", example));
  EXPECT_FALSE(is_exact_match("", example));
  example.references = {"NYC", "the Big Apple"};
  EXPECT_TRUE(is_exact_match("nyc", example));
  EXPECT_TRUE(is_exact_match("The big apple.", example));
  EXPECT_FALSE(is_exact_match("New York", example));  // references are all accepted answers
}

}  // namespace
}  // namespace flanmoe::eval
