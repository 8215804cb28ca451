// Cluster `reading`, held out: a question about a story of two facts. Two of the four choices stand
// in the story. Nothing here is used by another cluster: the stories, the questions and the rule
// (look up the fact, give its other half) are its own.
#include <fmt/format.h>

#include "data/builtin/lexicon.h"
#include "data/builtin/task.h"

namespace flanmoe::data::builtin {
namespace {

// The story has the facts (asked[i], answers[i]), i = 0, 1; the other two answers are distractors.
// `answer_class` says which fact is asked for and where the right choice stands.
Draft make_draft(RandomStream& random, uint64_t answer_class, const std::string& field,
                 const std::vector<std::string>& asked, const std::vector<std::string>& answers,
                 const std::string& story) {
  const uint64_t fact = answer_class % 2;
  std::vector<std::string> choices = answers;
  random.shuffle(choices);
  for (size_t i = 0; i < choices.size(); ++i)
    if (choices[i] == answers[fact]) {
      std::swap(choices[i], choices[answer_class / 2]);
      break;
    }
  return {
      {{"story", story}, {field, asked[fact]}}, choices, answers[fact], story + " " + asked[fact]};
}

Draft draw_who_holds(RandomStream& random, uint64_t answer_class) {
  const std::vector<std::string> things = draw_distinct(random, objects(), 2);
  const std::vector<std::string> names = draw_distinct(random, person_names(), 4);
  const std::string story =
      fmt::format("{} holds the {}. {} holds the {}.", names[0], things[0], names[1], things[1]);
  return make_draft(random, answer_class, "object", things, names, story);
}

Draft draw_where_lies(RandomStream& random, uint64_t answer_class) {
  const std::vector<std::string> things = draw_distinct(random, objects(), 2);
  const std::vector<std::string> where = draw_distinct(random, spots(), 4);
  const std::string story = fmt::format("The {} lies by the {}. The {} lies by the {}.", things[0],
                                        where[0], things[1], where[1]);
  return make_draft(random, answer_class, "object", things, where, story);
}

Draft draw_what_eaten(RandomStream& random, uint64_t answer_class) {
  const std::vector<std::string> names = draw_distinct(random, person_names(), 2);
  const std::vector<std::string> foods = draw_distinct(random, word_group("foods").words, 4);
  const std::string story = fmt::format("{} eats {}. {} eats {}.", names[0], with_article(foods[0]),
                                        names[1], with_article(foods[1]));
  return make_draft(random, answer_class, "name", names, foods, story);
}

Draft draw_which_colour(RandomStream& random, uint64_t answer_class) {
  const std::vector<std::string> things = draw_distinct(random, objects(), 2);
  const std::vector<std::string> colours = draw_distinct(random, word_group("colours").words, 4);
  const std::string story =
      fmt::format("My {} is {}. My {} is {}.", things[0], colours[0], things[1], colours[1]);
  return make_draft(random, answer_class, "object", things, colours, story);
}

}  // namespace

std::vector<TaskDefinition> make_reading_tasks() {
  return {
      {"who_holds",
       "reading",
       "who of two people holds a thing",
       false,
       4,
       8,
       draw_who_holds,
       {"{story} Who holds the {object}?", "{story} The name of who holds the {object}:",
        "Story: {story} Question: who has got the {object}?"},
       {"Who holds the {object}? {story}", "Story: {story} Who holds my {object}?"}},
      {"where_lies",
       "reading",
       "by what a thing lies",
       false,
       4,
       8,
       draw_where_lies,
       {"{story} By what does the {object} lie?", "{story} Where is the {object}? By the",
        "Story: {story} Question: by what thing lies the {object}?"},
       {"Where is the {object}? {story}", "Story: {story} Where lies the {object}?"}},
      {"what_eaten",
       "reading",
       "what one of two people eats",
       false,
       4,
       8,
       draw_what_eaten,
       {"{story} What does {name} eat?", "{story} On the plate of {name} there is",
        "Story: {story} Question: what food does {name} eat?"},
       {"What does {name} eat? {story}", "Story: {story} {name} eats what?"}},
      {"which_colour",
       "reading",
       "the colour of one of two things",
       false,
       4,
       8,
       draw_which_colour,
       {"{story} What colour is the {object}?", "{story} The colour of my {object}:",
        "Story: {story} Question: what colour has the {object}?"},
       {"What colour is my {object}? {story}", "Story: {story} My {object} has what colour?"}},
  };
}

}  // namespace flanmoe::data::builtin
