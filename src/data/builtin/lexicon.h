// The small world of the built-in collection: closed lists of common words, so that a vocabulary of
// 1000 pieces holds every one whole.
#pragma once

#include <string>
#include <vector>

#include "base/random.h"

namespace flanmoe::data::builtin {

// Words of one kind. No word is in two groups.
struct WordGroup {
  std::string name;  // "animals": the label in tasks
  std::string kind;  // "an animal", "food": what one of them is
  std::vector<std::string> words;
};

struct CountNoun {
  std::string singular, plural;
};

struct AdjectivePair {
  std::string word, opposite;
};

// animals, foods, colours, places, tools, clothes.
const std::vector<WordGroup>& word_groups();
const WordGroup& word_group(const std::string& name);
// The words of all groups.
const std::vector<std::string>& all_group_words();

const std::vector<std::string>& person_names();
// Small things one can carry; in no group.
const std::vector<std::string>& objects();
// Animals, tools, clothes and objects that can be counted, with their plurals.
const std::vector<CountNoun>& count_nouns();
const std::vector<AdjectivePair>& adjective_pairs();
// Both sides of every pair.
const std::vector<std::string>& adjectives();
const std::string& opposite_of(const std::string& adjective);

// Words of praise and blame, and what is praised or blamed.
const std::vector<std::string>& good_words();
const std::vector<std::string>& bad_words();
const std::vector<std::string>& reviewed_things();

// What people ask each other to do.
const std::vector<std::string>& requests();
// Names of moods, and how each of them shows.
struct Mood {
  std::string name;
  std::vector<std::string> signs;
};
const std::vector<Mood>& moods();
// How a visit went: "loved it there", "hated it there".
const std::vector<std::string>& joys();
const std::vector<std::string>& pains();
// Where a thing can lie: next to a piece of furniture, a tree or a wall.
const std::vector<std::string>& spots();

// "bread" -> "some bread", "axe" -> "an axe", "dog" -> "a dog"; for an adjective before a noun
// likewise.
std::string with_article(const std::string& noun);
// {"a", "b", "c"} -> "a, b, c"; with `last` = "and": "a, b and c".
std::string join_words(const std::vector<std::string>& words, const std::string& last = "");
std::string capitalised(std::string text);

// `count` different values, in random order.
template <class T>
std::vector<T> draw_distinct(RandomStream& random, std::vector<T> values, size_t count) {
  for (size_t i = 0; i < count; ++i)
    std::swap(values[i], values[i + random.below(values.size() - i)]);
  values.resize(count);
  return values;
}

// One value other than `excluded`, which is among `values`.
template <class T>
const T& draw_other(RandomStream& random, const std::vector<T>& values, const T& excluded) {
  const uint64_t index = random.below(values.size() - 1);
  return values[index] == excluded ? values.back() : values[index];
}

}  // namespace flanmoe::data::builtin
