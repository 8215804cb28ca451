// Three generated languages. Each has sounds, words, word order and endings of its own, all a pure
// function of a fixed seed; what can be said is a meaning, so that every text exists in all three.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"

namespace flanmoe::data::builtin {

struct ToyLanguage {
  std::string name;
  std::string order;  // of subject, verb and object: a permutation of "SVO"
  bool has_adjective_first;
  std::string plural_ending, past_ending;
  std::vector<std::string> nouns, adjectives, verbs;  // by meaning, as in toy_meanings()
};

// What the words mean, in English.
struct ToyMeanings {
  std::vector<std::string> nouns, adjectives, verbs;
};

struct NounPhrase {
  size_t noun;
  std::optional<size_t> adjective;
  bool is_plural;
};

struct Clause {
  NounPhrase subject;
  size_t verb;
  bool is_past;
  std::optional<NounPhrase> object;
};

const std::vector<ToyLanguage>& toy_languages();
const ToyMeanings& toy_meanings();

// Clauses that differ more with the level: 1 has neither object nor adjective, 2 an object, 3 one
// adjective, 4 two and the past, 5 two clauses.
std::vector<Clause> draw_clauses(RandomStream& random, int64_t level);

// Without capitals; a clause ends in " ." (the mark is a word of its own, the same everywhere).
std::string say(const ToyLanguage& language, const std::vector<Clause>& clauses);

}  // namespace flanmoe::data::builtin
