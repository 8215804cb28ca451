// A second implementation of every answer rule of the built-in collection: from the raw fields,
// with word lists of its own, and with what it has read in the corpus.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/example.h"

namespace flanmoe::data::builtin {

// What the full corpus states.
struct Knowledge {
  // relation ("home", "job", ...) -> subject -> object
  std::map<std::string, std::map<std::string, std::string>> facts;
  struct Word {
    std::string meaning;  // in English
    char kind;            // 'N', 'A' or 'V'
    bool is_changed;      // plural or past
  };
  struct Language {
    std::map<std::string, Word> words;
    std::map<std::pair<std::string, bool>, std::string> forms;  // (meaning, is changed) -> word
  };
  std::map<std::string, Language> languages;
  std::vector<std::string> contradictions;  // statements that deny earlier ones
};

// Reads documents [begin, begin + count) of the full corpus.
Knowledge read_corpus(uint64_t seed, uint64_t begin, uint64_t count);

// The answer to an example; "?" where none is found. `targets` is looked at only where there is
// more than one way to put the answer, to see whether it is one.
std::string solve(const Example& example, const Knowledge& knowledge);

// The number that `text` writes out; -1 where it is none.
int64_t parse_number_words(const std::string& text, const std::string& language);

std::vector<std::string> words_of(const std::string& text);

}  // namespace flanmoe::data::builtin
