// Cluster `transform`: words in, words out. All answers are free text.
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

Draft draw_first_word(RandomStream& random, uint64_t) {
  return draw_end_of_list(random, true);
}
Draft draw_last_word(RandomStream& random, uint64_t) {
  return draw_end_of_list(random, false);
}

Draft draw_word_after(RandomStream& random, uint64_t answer_class) {
  const std::vector<std::string> words = draw_distinct(random, all_group_words(), 4);
  const std::string text = join_words(words);
  const std::string& word = words[answer_class];
  return {{{"words", text}, {"word", word}}, {}, words[answer_class + 1], word + ": " + text};
}

Draft draw_make_plural(RandomStream& random, uint64_t answer_class) {
  const CountNoun& noun = count_nouns()[answer_class];
  const std::string before =
      random.pick(random.below(2) == 0 ? word_group("colours").words : adjectives()) + " ";
  return {{{"phrase", before + noun.singular}}, {}, before + noun.plural, before + noun.singular};
}

Draft draw_opposite_phrase(RandomStream& random, uint64_t answer_class) {
  const std::string& adjective = adjectives()[answer_class];
  const std::string& noun = random.pick(count_nouns()).singular;
  return {{{"phrase", adjective + " " + noun}},
          {},
          opposite_of(adjective) + " " + noun,
          adjective + " " + noun};
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
  };
}

}  // namespace flanmoe::data::builtin
