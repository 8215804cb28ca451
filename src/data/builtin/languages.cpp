#include "data/builtin/languages.h"

#include <set>

namespace flanmoe::data::builtin {
namespace {

constexpr uint64_t kLanguageSeed = 20260502;

struct Sounds {
  std::vector<std::string> onsets, vowels, codas;
};

// Different enough that the language can be heard.
const std::vector<Sounds>& sounds() {
  static const std::vector<Sounds> all = {
      {{"t", "k", "m", "r", "v", "s"}, {"a", "i"}, {"", "n", "k"}},
      {{"b", "d", "g", "l", "zh", "h"}, {"o", "u"}, {"", "m", "r"}},
      {{"p", "f", "sh", "w", "y", "n"}, {"e", "ei", "a"}, {"", "l", "th"}}};
  return all;
}

std::string draw_word(RandomStream& random, const Sounds& sounds, std::set<std::string>& used) {
  for (;;) {
    std::string word;
    for (const auto* part :
         {&sounds.onsets, &sounds.vowels, &sounds.onsets, &sounds.vowels, &sounds.codas})
      word += random.pick(*part);
    if (used.insert(word).second) return word;
  }
}

std::vector<ToyLanguage> make_languages() {
  static const std::vector<std::string> orders = {"SVO", "SOV", "VSO"};
  RandomStream random(RandomKey(kLanguageSeed, RandomPurpose::Generator).fold("languages"));
  std::vector<ToyLanguage> languages;
  std::set<std::string> used;
  for (size_t i = 0; i < sounds().size(); ++i) {
    const Sounds& own = sounds()[i];
    ToyLanguage language;
    language.name = draw_word(random, own, used) + "ish";
    language.name[0] = static_cast<char>(language.name[0] - 'a' + 'A');
    language.order = orders[i];
    language.has_adjective_first = i != 1;
    language.plural_ending = random.pick(own.onsets);
    language.plural_ending += random.pick(own.vowels);
    do {
      language.past_ending = random.pick(own.onsets);
      language.past_ending += random.pick(own.vowels);
    } while (language.past_ending == language.plural_ending);
    for (size_t k = 0; k < toy_meanings().nouns.size(); ++k)
      language.nouns.push_back(draw_word(random, own, used));
    for (size_t k = 0; k < toy_meanings().adjectives.size(); ++k)
      language.adjectives.push_back(draw_word(random, own, used));
    for (size_t k = 0; k < toy_meanings().verbs.size(); ++k)
      language.verbs.push_back(draw_word(random, own, used));
    languages.push_back(std::move(language));
  }
  return languages;
}

std::string say_phrase(const ToyLanguage& language, const NounPhrase& phrase) {
  std::string noun = language.nouns[phrase.noun];
  if (phrase.is_plural) noun += language.plural_ending;
  if (!phrase.adjective) return noun;
  const std::string& adjective = language.adjectives[*phrase.adjective];
  return language.has_adjective_first ? adjective + " " + noun : noun + " " + adjective;
}

NounPhrase draw_phrase(RandomStream& random, bool has_adjective) {
  NounPhrase phrase;
  phrase.noun = random.below(toy_meanings().nouns.size());
  if (has_adjective) phrase.adjective = random.below(toy_meanings().adjectives.size());
  phrase.is_plural = random.below(2) == 0;
  return phrase;
}

}  // namespace

const ToyMeanings& toy_meanings() {
  static const ToyMeanings meanings = {
      {"dog",   "cat",   "horse", "wolf", "child", "king",  "farmer", "bird", "fish", "tree",
       "house", "stone", "river", "boat", "bread", "apple", "lamp",   "book", "star", "door"},
      {"big", "small", "red", "green", "old", "new", "happy", "wet", "quiet", "strong"},
      {"sees", "finds", "carries", "follows", "loves", "hears", "wants", "knows", "paints",
       "guards"}};
  return meanings;
}

const std::vector<ToyLanguage>& toy_languages() {
  static const std::vector<ToyLanguage> languages = make_languages();
  return languages;
}

std::vector<Clause> draw_clauses(RandomStream& random, int64_t level) {
  std::vector<Clause> clauses;
  for (int64_t i = 0; i < (level >= 5 ? 2 : 1); ++i) {
    Clause clause;
    const bool is_subject_described = level >= 4 || (level == 3 && random.below(2) == 0);
    clause.subject = draw_phrase(random, is_subject_described);
    clause.verb = random.below(toy_meanings().verbs.size());
    clause.is_past = level >= 4 && random.below(2) == 0;
    if (level >= 2)
      clause.object = draw_phrase(random, level >= 4 || (level == 3 && !is_subject_described));
    clauses.push_back(clause);
  }
  return clauses;
}

std::string say(const ToyLanguage& language, const std::vector<Clause>& clauses) {
  std::string text;
  for (const Clause& clause : clauses) {
    for (const char part : language.order) {
      if (part == 'O' && !clause.object) continue;
      if (part == 'V')
        text += language.verbs[clause.verb] + (clause.is_past ? language.past_ending : "");
      else
        text += say_phrase(language, part == 'S' ? clause.subject : *clause.object);
      text += ' ';
    }
    text += &clause == &clauses.back() ? "." : ". ";
  }
  return text;
}

}  // namespace flanmoe::data::builtin
