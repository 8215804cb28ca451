// Cluster `reading`, held out: a question about a story of two facts, where two of the four choices
// stand in the story, or about what several people did in a day. Nothing here is used by another
// cluster: the stories, the questions and the rule (look up the fact, give its other half) are its
// own.
#include <fmt/format.h>

#include "data/builtin/draw.h"
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

Draft draw_who_holds(RandomStream& random, const Request& request) {
  const std::vector<std::string> things = draw_distinct(random, objects(), 2);
  const std::vector<std::string> names = draw_distinct(random, person_names(), 4);
  const std::string story =
      fmt::format("{} holds the {}. {} holds the {}.", names[0], things[0], names[1], things[1]);
  return make_draft(random, request.answer_class, "object", things, names, story);
}

Draft draw_where_lies(RandomStream& random, const Request& request) {
  const std::vector<std::string> things = draw_distinct(random, objects(), 2);
  const std::vector<std::string> where = draw_distinct(random, spots(), 4);
  const std::string story = fmt::format("The {} lies by the {}. The {} lies by the {}.", things[0],
                                        where[0], things[1], where[1]);
  return make_draft(random, request.answer_class, "object", things, where, story);
}

Draft draw_what_eaten(RandomStream& random, const Request& request) {
  const std::vector<std::string> names = draw_distinct(random, person_names(), 2);
  const std::vector<std::string> foods = draw_distinct(random, word_group("foods").words, 4);
  const std::string story = fmt::format("{} eats {}. {} eats {}.", names[0], with_article(foods[0]),
                                        names[1], with_article(foods[1]));
  return make_draft(random, request.answer_class, "name", names, foods, story);
}

Draft draw_which_colour(RandomStream& random, const Request& request) {
  const std::vector<std::string> things = draw_distinct(random, objects(), 2);
  const std::vector<std::string> colours = draw_distinct(random, word_group("colours").words, 4);
  const std::string story =
      fmt::format("My {} is {}. My {} is {}.", things[0], colours[0], things[1], colours[1]);
  return make_draft(random, request.answer_class, "object", things, colours, story);
}

// What several people did at different times of one day, a sentence each.
struct Day {
  struct Event {
    std::string time, name, verb, thing, place;
  };
  std::vector<Event> events;
  size_t asked;
  std::string text;
};

Day draw_day(RandomStream& random, int64_t level) {
  static const std::vector<std::string> times = {
      "at dawn",     "in the morning", "at noon",     "in the afternoon",
      "at tea time", "in the evening", "at midnight", "late at night"};
  static const std::vector<std::string> verbs = {"repaired", "painted", "hid",    "sold",
                                                 "washed",   "packed",  "dropped"};
  const auto count = static_cast<size_t>(level) + 2;
  const std::vector<std::string> names = draw_some(random, person_names(), count);
  const std::vector<std::string> things = draw_some(random, objects(), count);
  const std::vector<std::string> where = draw_some(random, word_group("places").words, count);
  std::vector<size_t> hours = draw_some(random, std::vector<size_t>{0, 1, 2, 3, 4, 5, 6, 7}, count);
  std::sort(hours.begin(), hours.end());
  Day day;
  for (size_t i = 0; i < count; ++i) {
    const std::string& verb = random.pick(verbs);
    day.events.push_back({times[hours[i]], names[i], verb, things[i], where[i]});
    day.text += fmt::format("{}{} {} {} a {} behind the {}.", i > 0 ? " " : "",
                            capitalised(times[hours[i]]), names[i], verb, things[i], where[i]);
  }
  day.asked = random.below(count);
  return day;
}

// Wrong choices come from the text as far as it has them.
Draft ask_about_day(RandomStream& random, const Request& request, const Day& day,
                    const std::string Day::Event::*wanted, const std::vector<std::string>& pool,
                    std::map<std::string, std::string> fields) {
  const std::string& answer = day.events[day.asked].*wanted;
  std::vector<std::string> choices = {answer};
  for (size_t i = 1; i < day.events.size() && choices.size() < 4; ++i)
    choices.push_back(day.events[(day.asked + i) % day.events.size()].*wanted);
  while (choices.size() < 4) {
    const std::string& other = random.pick(pool);
    if (std::find(choices.begin(), choices.end(), other) == choices.end()) choices.push_back(other);
  }
  random.shuffle(choices);
  std::swap(*std::find(choices.begin(), choices.end(), answer), choices[request.answer_class]);
  fields["story"] = day.text;
  return {fields, choices, answer, day.text + " " + day.events[day.asked].name};
}

Draft draw_day_who(RandomStream& random, const Request& request) {
  const Day day = draw_day(random, request.level);
  const Day::Event& event = day.events[day.asked];
  return ask_about_day(random, request, day, &Day::Event::name, person_names(),
                       {{"verb", event.verb}, {"object", event.thing}});
}

Draft draw_day_where(RandomStream& random, const Request& request) {
  const Day day = draw_day(random, request.level);
  const Day::Event& event = day.events[day.asked];
  return ask_about_day(random, request, day, &Day::Event::place, word_group("places").words,
                       {{"name", event.name}, {"object", event.thing}});
}

Draft draw_day_what(RandomStream& random, const Request& request) {
  const Day day = draw_day(random, request.level);
  const Day::Event& event = day.events[day.asked];
  return ask_about_day(random, request, day, &Day::Event::thing, objects(),
                       {{"time", event.time}, {"name", event.name}});
}

}  // namespace

std::vector<TaskDefinition> make_reading_tasks() {
  return {
      {"who_holds",
       "reading",
       "who of two people holds a thing",
       true,
       4,
       8,
       draw_who_holds,
       {"{story} Who holds the {object}?", "{story} The name of who holds the {object}:",
        "Story: {story} Question: who has got the {object}?"},
       {"Who holds the {object}? {story}", "Story: {story} Who holds my {object}?"}},
      {"where_lies",
       "reading",
       "by what a thing lies",
       true,
       4,
       8,
       draw_where_lies,
       {"{story} By what does the {object} lie?", "{story} Where is the {object}? By the",
        "Story: {story} Question: by what thing lies the {object}?"},
       {"Where is the {object}? {story}", "Story: {story} Where lies the {object}?"}},
      {"what_eaten",
       "reading",
       "what one of two people eats",
       true,
       4,
       8,
       draw_what_eaten,
       {"{story} What does {name} eat?", "{story} On the plate of {name} there is",
        "Story: {story} Question: what food does {name} eat?"},
       {"What does {name} eat? {story}", "Story: {story} {name} eats what?"}},
      {"which_colour",
       "reading",
       "the colour of one of two things",
       true,
       4,
       8,
       draw_which_colour,
       {"{story} What colour is the {object}?", "{story} The colour of my {object}:",
        "Story: {story} Question: what colour has the {object}?"},
       {"What colour is my {object}? {story}", "Story: {story} My {object} has what colour?"}},
      {.name = "day_who",
       .cluster = "reading",
       .description = "who did something, out of a paragraph about a day",
       .num_choices = 4,
       .num_classes = 4,
       .draw = draw_day_who,
       .templates = {"{story} Which person {verb} the {object}?",
                     "Paragraph: {story} The one that {verb} the {object}:",
                     "Detectives want the name of whoever {verb} the {object}. {story}",
                     "{story} It was not the others that {verb} the {object}, it was"},
       .unseen_templates = {"Which person {verb} the {object}? {story}",
                            "{story} By whom do we know that he or she {verb} the {object}?"},
       .level_changes = "number of sentences"},
      {.name = "day_where",
       .cluster = "reading",
       .description = "behind what something happened, out of a paragraph about a day",
       .num_choices = 4,
       .num_classes = 4,
       .draw = draw_day_where,
       .templates =
           {"{story} Behind what was {name} with the {object}?",
            "Paragraph: {story} Scene where {name} had the {object}:",
            "Detectives search for {name} and the {object}, behind the right spot. {story}",
            "{story} To see {name} and the {object} one had to go behind the"},
       .unseen_templates = {"Behind what did {name} do it with the {object}? {story}",
                            "{story} The spot of {name} and the {object}:"},
       .level_changes = "number of sentences"},
      {.name = "day_what",
       .cluster = "reading",
       .description = "what somebody was busy with, out of a paragraph about a day",
       .num_choices = 4,
       .num_classes = 4,
       .draw = draw_day_what,
       .templates = {"{story} With what was {name} busy {time}?",
                     "Paragraph: {story} Busy {time}, {name} had this in hand:",
                     "Detectives wonder what thing kept {name} busy {time}. {story}",
                     "{story} The thing that {name} cared about {time} is a"},
       .unseen_templates = {"What had {name} to do with {time}? {story}",
                            "{story} Name the thing of {name} {time}."},
       .level_changes = "number of sentences"},
  };
}

}  // namespace flanmoe::data::builtin
