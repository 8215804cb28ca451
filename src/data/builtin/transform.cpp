// Cluster `transform`: words in, words out. All answers are free text.
#include <algorithm>

#include "data/builtin/draw.h"
#include "data/builtin/lexicon.h"
#include "data/builtin/task.h"

namespace flanmoe::data::builtin {
namespace {

Draft draw_end_of_list(RandomStream& random, bool is_first) {
  const std::vector<std::string> words =
      draw_distinct(random, all_group_words(), static_cast<size_t>(random.between(3, 5)));
  const std::string text = join_words(words);
  return {{{"words", text}}, {}, is_first ? words.front() : words.back(), text};
}

Draft draw_first_word(RandomStream& random, const Request&) {
  return draw_end_of_list(random, true);
}
Draft draw_last_word(RandomStream& random, const Request&) {
  return draw_end_of_list(random, false);
}

Draft draw_word_after(RandomStream& random, const Request& request) {
  const std::vector<std::string> words = draw_distinct(random, all_group_words(), 4);
  const std::string text = join_words(words);
  const std::string& word = words[request.answer_class];
  return {
      {{"words", text}, {"word", word}}, {}, words[request.answer_class + 1], word + ": " + text};
}

Draft draw_make_plural(RandomStream& random, const Request& request) {
  const CountNoun& noun = count_nouns()[request.answer_class];
  const std::string before =
      random.pick(random.below(2) == 0 ? word_group("colours").words : adjectives()) + " ";
  return {{{"phrase", before + noun.singular}}, {}, before + noun.plural, before + noun.singular};
}

Draft draw_opposite_phrase(RandomStream& random, const Request& request) {
  const std::string& adjective = adjectives()[request.answer_class];
  const std::string& noun = random.pick(count_nouns()).singular;
  return {{{"phrase", adjective + " " + noun}},
          {},
          opposite_of(adjective) + " " + noun,
          adjective + " " + noun};
}

std::vector<std::string> draw_list(RandomStream& random, const Request& request) {
  return draw_some(random, all_group_words(), static_cast<size_t>(request.level + 2));
}

Draft draw_reverse_list(RandomStream& random, const Request& request) {
  std::vector<std::string> words = draw_list(random, request);
  const std::string text = join_words(words);
  std::reverse(words.begin(), words.end());
  return {{{"words", text}}, {}, join_words(words), text};
}

// Consonants and vowels in turn: there are more of these than of words.
Draft draw_reverse_word(RandomStream& random, const Request& request) {
  static const std::string consonants = "bdfgklmnprstvz", vowels = "aeiou";
  std::string word;
  for (int64_t i = 0; i < request.level + 2; ++i) {
    const std::string& letters = i % 2 == 0 ? consonants : vowels;
    word += letters[random.below(letters.size())];
  }
  return {{{"word", word}}, {}, std::string(word.rbegin(), word.rend()), word};
}

Draft draw_remove_word(RandomStream& random, const Request& request) {
  std::vector<std::string> words = draw_list(random, request);
  const std::string text = join_words(words);
  const auto place = static_cast<std::ptrdiff_t>(random.below(words.size()));
  const std::string word = words[static_cast<size_t>(place)];
  words.erase(words.begin() + place);
  return {{{"words", text}, {"word", word}}, {}, join_words(words), text + ": " + word};
}

Draft draw_replace_word(RandomStream& random, const Request& request) {
  std::vector<std::string> words = draw_list(random, request);
  const std::string text = join_words(words);
  const size_t place = random.below(words.size());
  const std::string old = words[place];
  const std::string& replacement = random.pick(objects());
  words[place] = replacement;
  return {{{"words", text}, {"old", old}, {"new", replacement}},
          {},
          join_words(words),
          text + ": " + old + " " + replacement};
}

Draft draw_nth_word(RandomStream& random, const Request& request) {
  static const std::vector<std::string> ordinals = {"first", "second", "third",  "fourth",
                                                    "fifth", "sixth",  "seventh"};
  const std::vector<std::string> words = draw_list(random, request);
  const std::string text = join_words(words);
  const size_t place = random.below(words.size());
  return {{{"words", text}, {"ordinal", ordinals[place]}},
          {},
          words[place],
          text + ": " + ordinals[place]};
}

Draft draw_initials(RandomStream& random, const Request& request) {
  const std::vector<std::string> words = draw_list(random, request);
  std::string text, initials;
  for (const std::string& word : words) {
    text += (text.empty() ? "" : " ") + word;
    initials += (initials.empty() ? "" : " ") + word.substr(0, 1);
  }
  return {{{"words", text}}, {}, initials, text};
}

}  // namespace

std::vector<TaskDefinition> make_transform_tasks() {
  return {
      {"first_word",
       "transform",
       "the first word of a list",
       true,
       0,
       1,
       draw_first_word,
       {"What is the first word of the list {words}?", "Give the first word: {words}.",
        "{words}. Write down the first of these words.",
        "Copy only the word at the start: {words}."},
       {"Write down the word at the start of the list {words}.",
        "{words}. Give the first of the words."}},
      {"last_word",
       "transform",
       "the last word of a list",
       true,
       0,
       1,
       draw_last_word,
       {"What is the last word of the list {words}?", "Give the last word: {words}.",
        "{words}. Write down the last of these words.", "Copy only the word at the end: {words}."},
       {"Write down the word at the end of the list {words}.",
        "{words}. Give the last of the words."}},
      {"word_after",
       "transform",
       "the word that follows another in a list",
       false,
       0,
       3,
       draw_word_after,
       {"Which word comes after {word} in the list {words}?",
        "List: {words}. The next word after {word} is", "In {words}, what follows {word}?",
        "Give the word that stands right after {word}: {words}."},
       {"In the list {words}, which word follows {word}?",
        "{words}. Give the word that comes after {word}."}},
      {"make_plural",
       "transform",
       "a phrase put into the plural",
       true,
       0,
       count_nouns().size(),
       draw_make_plural,
       {"Make it plural: {phrase}", "Write this for more than one: {phrase}",
        "Change from one to many: {phrase}", "The plural of {phrase} is"},
       {"Make this into more than one: {phrase}", "Write the plural of {phrase}."}},
      {"opposite_phrase",
       "transform",
       "the adjective of a phrase turned into its opposite",
       true,
       0,
       adjectives().size(),
       draw_opposite_phrase,
       {"Turn into the opposite: {phrase}", "Write the opposite of {phrase}.",
        "Say the opposite: {phrase}", "The opposite of {phrase} is"},
       {"Say what is the opposite of {phrase}.", "Turn {phrase} into its opposite."}},
      {.name = "reverse_list",
       .cluster = "transform",
       .description = "a list of words backwards",
       .draw = draw_reverse_list,
       .templates = {"Reverse the list {words}.", "{words}, read from right to left:",
                     "What do you get if {words} begins with its end?",
                     "Turn round the order, last one in front: {words}"},
       .unseen_templates = {"Write the list backwards: {words}", "{words}. In reverse order:"},
       .level_changes = "length of the list"},
      {.name = "reverse_word",
       .cluster = "transform",
       .description = "the letters of a word backwards",
       .draw = draw_reverse_word,
       .templates = {"Spell {word} backwards.", "In a mirror, {word} looks like",
                     "Write the letters of {word} from the last to the first.",
                     "{word} with its letters in opposite order:"},
       .unseen_templates = {"Reverse the letters: {word}", "What is {word}, read from the end?"},
       .level_changes = "number of letters"},
      {.name = "remove_word",
       .cluster = "transform",
       .description = "a list without one of its words",
       .draw = draw_remove_word,
       .templates = {"Remove {word} from the list {words}.",
                     "{words}, but without {word}:", "Everything except {word} may stay: {words}",
                     "Cross out {word} and copy what is left of {words}."},
       .unseen_templates = {"Take {word} out of {words}.", "{words}. Drop {word}:"},
       .level_changes = "length of the list"},
      {.name = "replace_word",
       .cluster = "transform",
       .description = "a list with one word in place of another",
       .draw = draw_replace_word,
       .templates = {"Replace {old} by {new} in the list {words}.",
                     "{words}, with {new} where {old} was:",
                     "Instead of {old} we want {new}. Our plan so far: {words}",
                     "Swap {old} for {new}: {words}"},
       .unseen_templates = {"In {words}, put {new} in place of {old}.",
                            "{words}. Exchange {old} for {new}."},
       .level_changes = "length of the list"},
      {.name = "nth_word",
       .cluster = "transform",
       .description = "the word at a given place of a list",
       .draw = draw_nth_word,
       .templates = {"What is the {ordinal} word of {words}?", "{words}. Number {ordinal} here:",
                     "Counting from the left, give only the {ordinal} entry: {words}",
                     "Which one would you reach at the {ordinal} step through {words}?"},
       .unseen_templates = {"Give the {ordinal} of the words {words}.",
                            "{words}. Which is the {ordinal} one?"},
       .level_changes = "length of the list"},
      {.name = "initials",
       .cluster = "transform",
       .description = "the first letters of several words",
       .draw = draw_initials,
       .templates = {"Write the first letter of every word: {words}", "Initials of {words} are",
                     "What do {words} begin with, letter by letter?",
                     "Shorten {words} so that a single letter stands for each."},
       .unseen_templates = {"Give the initial of each word in {words}",
                            "{words}. Keep only the letter in front of every word."},
       .level_changes = "number of words"},
  };
}

}  // namespace flanmoe::data::builtin
