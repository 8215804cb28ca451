// Cluster `topics`: what kind of thing a word names or a description describes.
#include <fmt/format.h>

#include <algorithm>

#include "data/builtin/descriptions.h"
#include "data/builtin/draw.h"
#include "data/builtin/lexicon.h"
#include "data/builtin/task.h"

namespace flanmoe::data::builtin {
namespace {

std::vector<std::string> group_names() {
  std::vector<std::string> names;
  for (const WordGroup& group : word_groups()) names.push_back(group.name);
  return names;
}

// Sorted, so that the same set gives the same text.
std::string identity_of(std::vector<std::string> words) {
  std::sort(words.begin(), words.end());
  return join_words(words);
}

Draft draw_group_of_word(RandomStream& random, const Request& request) {
  const WordGroup& group = word_groups()[request.answer_class];
  const std::string& word = random.pick(group.words);
  std::vector<std::string> others = group_names();
  others.erase(std::find(others.begin(), others.end(), group.name));
  std::vector<std::string> choices = draw_distinct(random, others, 2);
  choices.push_back(group.name);
  random.shuffle(choices);
  return {{{"word", word}, {"options", join_words(choices, "or")}},
          choices,
          group.name,
          word + ": " + identity_of(choices)};
}

Draft draw_find_member(RandomStream& random, const Request& request) {
  const std::vector<WordGroup> groups = draw_distinct(random, word_groups(), 3);
  std::vector<std::string> words;
  for (const WordGroup& group : groups) words.push_back(random.pick(group.words));
  const std::string answer = words[0];
  const std::string identity = groups[0].name + ": " + identity_of(words);
  std::swap(words[0], words[request.answer_class]);
  return {{{"group", groups[0].name}, {"words", join_words(words)}}, words, answer, identity};
}

Draft draw_odd_one_out(RandomStream& random, const Request& request) {
  const std::vector<WordGroup> groups = draw_distinct(random, word_groups(), 2);
  std::vector<std::string> words = draw_distinct(random, groups[0].words, 3);
  const std::string answer = random.pick(groups[1].words);
  words.push_back(answer);
  std::swap(words[3], words[request.answer_class]);
  return {{{"words", join_words(words)}}, words, answer, identity_of(words)};
}

Draft draw_list_topic(RandomStream& random, const Request& request) {
  const WordGroup& group = word_groups()[request.answer_class];
  const std::vector<std::string> words = draw_distinct(random, group.words, 3);
  return {{{"words", join_words(words)}}, group_names(), group.name, identity_of(words)};
}

// Two clues and, with the level, more and more that says nothing; from level 4 on one clue.
template <const Descriptions& (*kDescriptions)()>
Draft draw_description(RandomStream& random, const Request& request) {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const DescribedClass& described : kDescriptions().classes) all.push_back(described.name);
    return all;
  }();
  const Descriptions& all = kDescriptions();
  const DescribedClass& described = all.classes[request.answer_class];
  std::vector<std::string> clauses = draw_some(random, described.clues, request.level >= 4 ? 1 : 2);
  for (const std::string& clause :
       draw_some(random, all.neutral, static_cast<size_t>(request.level)))
    clauses.push_back(clause);
  const std::string identity = identity_of(clauses);
  random.shuffle(clauses);
  std::string text;
  for (const std::string& clause : clauses)
    text += fmt::format("{}{} {}.", text.empty() ? "" : " ", all.subject, clause);
  return {{{"text", text}}, names, described.name, identity};
}

}  // namespace

std::vector<TaskDefinition> make_topics_tasks() {
  return {
      {"group_of_word",
       "topics",
       "which of three groups a word belongs to",
       true,
       3,
       6,
       draw_group_of_word,
       {"Which group does the word {word} belong to: {options}?",
        "Word: {word}. Groups: {options}. The group of the word is",
        "Choose the group for {word}. It is one of {options}.",
        "Groups: {options}. Put {word} into its group."},
       {"Put the word {word} into one of the groups {options}.",
        "Choose one of {options} as the group of the word {word}."}},
      {"find_member",
       "topics",
       "the one of three words that belongs to a group",
       true,
       3,
       3,
       draw_find_member,
       {"Which of these words is one of the {group}: {words}?",
        "Words: {words}. Find the one from the group {group}.",
        "From the list {words}, pick the word that belongs to the {group}.",
        "Only one of {words} names one of the {group}. Which one?"},
       {"Find the word that names one of the {group}: {words}.",
        "List: {words}. Which one belongs to the {group}?"}},
      {"odd_one_out",
       "topics",
       "the one of four words that is of another kind",
       true,
       4,
       4,
       draw_odd_one_out,
       {"Which word does not belong: {words}?", "Find the odd word in the list {words}.",
        "All but one of these words are of the same kind: {words}. Name the other one.",
        "Three of {words} are alike. The odd one is"},
       {"Name the word that is not alike: {words}.", "List: {words}. Which of these is odd?"}},
      {"list_topic",
       "topics",
       "what the words of a list have in common",
       true,
       6,
       6,
       draw_list_topic,
       {"{words}. What is this list about?", "What are all of these: {words}?",
        "Name the kind of things in the list {words}.", "Give one name for all of these: {words}."},
       {"{words}. Name the kind of all these things.",
        "Give the name of what this list is about: {words}."}},
      {.name = "describe_kind",
       .cluster = "topics",
       .description = "the kind of thing that a description is about",
       .num_choices = 6,
       .num_classes = 6,
       .draw = draw_description<kind_descriptions>,
       .templates = {"{text} What kind of thing is described?",
                     "Riddle: {text} Animal, meal, tool, garment, vehicle or plant?",
                     "A child asks what sort of object fits these remarks. {text}",
                     "{text} All this is true of a certain"},
       .unseen_templates = {"What kind of thing is it? {text}",
                            "{text} Guess: animal, meal, tool, garment, vehicle, plant."},
       .level_changes = "number of sentences that say nothing; from 4 on a single clue"},
      {.name = "describe_job",
       .cluster = "topics",
       .description = "the job of a person who is described",
       .num_choices = 6,
       .num_classes = 6,
       .draw = draw_description<job_descriptions>,
       .templates = {"{text} Which job is it?",
                     "Baker, sailor, teacher, doctor, farmer or tailor? {text}",
                     "Guess how somebody earns a living: {text}", "{text} Surely we speak of a"},
       .unseen_templates = {"Name the job. {text}", "{text} What is the person by trade?"},
       .level_changes = "number of sentences that say nothing; from 4 on a single clue"},
      {.name = "describe_season",
       .cluster = "topics",
       .description = "the season that is described",
       .num_choices = 4,
       .num_classes = 4,
       .draw = draw_description<season_descriptions>,
       .templates = {"{text} Which season is it?", "Spring, summer, autumn or winter? {text}",
                     "From these remarks, tell the time of the year: {text}",
                     "{text} The calendar on the wall shows"},
       .unseen_templates = {"In what season was this written? {text}", "{text} Name the season."},
       .level_changes = "number of sentences that say nothing; from 4 on a single clue"},
      {.name = "describe_scene",
       .cluster = "topics",
       .description = "the place that is described",
       .num_choices = 5,
       .num_classes = 5,
       .draw = draw_description<scene_descriptions>,
       .templates = {"{text} Which place is this?",
                     "Harbour, classroom, forest, library or stable? {text}",
                     "Where must you be to live through the following: {text}",
                     "{text} That can only happen in a"},
       .unseen_templates = {"{text} Where are we?", "Name the kind of place. {text}"},
       .level_changes = "number of sentences that say nothing; from 4 on a single clue"},
  };
}

}  // namespace flanmoe::data::builtin
