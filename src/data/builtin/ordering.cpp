// Cluster `ordering`, held out: who is tallest, what comes second, from comparisons of neighbours.
// The chains, the questions and the rule (put all in one row) are its own.
#include <fmt/format.h>

#include "data/builtin/draw.h"
#include "data/builtin/lexicon.h"
#include "data/builtin/task.h"

namespace flanmoe::data::builtin {
namespace {

struct Quality {
  std::string more, most, less;  // "taller", "tallest", "shorter"
};

const std::vector<Quality>& qualities() {
  static const std::vector<Quality> all = {{"taller", "tallest", "shorter"},
                                           {"older", "oldest", "younger"},
                                           {"richer", "richest", "poorer"},
                                           {"faster", "fastest", "slower"},
                                           {"stronger", "strongest", "weaker"}};
  return all;
}

// People in a row from most to least, and what is told of it: each pair of neighbours in the row,
// the pairs in random order and either way round.
struct Row {
  const Quality* quality;
  std::vector<std::string> names;
  std::string text;
};

Row draw_row(RandomStream& random, size_t count) {
  Row row;
  row.quality = &random.pick(qualities());
  row.names = draw_some(random, person_names(), count);
  std::vector<size_t> pairs;
  for (size_t i = 0; i + 1 < count; ++i) pairs.push_back(i);
  random.shuffle(pairs);
  for (const size_t pair : pairs) {
    const std::string& high = row.names[pair];
    const std::string& low = row.names[pair + 1];
    if (!row.text.empty()) row.text += ' ';
    row.text += random.below(2) == 0
                    ? fmt::format("{} is {} than {}.", high, row.quality->more, low)
                    : fmt::format("{} is {} than {}.", low, row.quality->less, high);
  }
  return row;
}

std::string explain(const Row& row, const std::string& answer) {
  return fmt::format("In order, the {} one first: {}. The answer is {}.", row.quality->most,
                     join_words(row.names), answer);
}

size_t length_of(const Request& request) {
  return static_cast<size_t>(request.level) + 2;
}

// Three choices: the answer and two others of the row.
Draft ask_for(RandomStream& random, const Row& row, size_t place, uint64_t answer_class,
              std::map<std::string, std::string> fields) {
  const std::string& answer = row.names[place];
  std::vector<std::string> choices = draw_choices(random, answer, 3, row.names);
  std::swap(*std::find(choices.begin(), choices.end(), answer), choices[answer_class]);
  fields["text"] = row.text;
  return {fields, choices, answer, row.text, explain(row, answer)};
}

Draft draw_most_of_all(RandomStream& random, const Request& request) {
  const Row row = draw_row(random, length_of(request));
  return ask_for(random, row, 0, request.answer_class, {{"most", row.quality->most}});
}

Draft draw_second_in_row(RandomStream& random, const Request& request) {
  const Row row = draw_row(random, length_of(request));
  return ask_for(random, row, 1, request.answer_class, {{"most", row.quality->most}});
}

Draft draw_least_of_all(RandomStream& random, const Request& request) {
  const Row row = draw_row(random, length_of(request));
  return ask_for(random, row, row.names.size() - 1, request.answer_class,
                 {{"more", row.quality->more}});
}

Draft draw_compare_two(RandomStream& random, const Request& request) {
  static const std::vector<std::string> choices = {"yes", "no"};
  const Row row = draw_row(random, length_of(request));
  const size_t gap = 1 + random.below(row.names.size() - 1);
  size_t first = random.below(row.names.size() - gap), second = first + gap;
  if (request.answer_class == 1) std::swap(first, second);
  const std::string& answer = choices[request.answer_class];
  return {{{"text", row.text},
           {"more", row.quality->more},
           {"first", row.names[first]},
           {"second", row.names[second]}},
          choices,
          answer,
          row.text + sorted_identity({row.names[first], row.names[second]}),
          explain(row, answer)};
}

}  // namespace

std::vector<TaskDefinition> make_ordering_tasks() {
  const std::string cluster = "ordering";
  const std::string level_changes = "number of people in the row";
  return {
      {.name = "most_of_all",
       .cluster = cluster,
       .description = "who stands first in a row told by comparisons",
       .num_choices = 3,
       .num_classes = 3,
       .draw = draw_most_of_all,
       .templates = {"{text} Who among all of them is the {most}?",
                     "Comparisons: {text} Nobody is above this person, the {most}:",
                     "{text} The {most} person has the name",
                     "From these remarks conclude who must be the {most}: {text}"},
       .unseen_templates = {"{text} Which person is the {most}?", "Who is the {most}? {text}"},
       .level_changes = level_changes},
      {.name = "second_in_row",
       .cluster = cluster,
       .description = "who stands second in a row told by comparisons",
       .num_choices = 3,
       .num_classes = 3,
       .draw = draw_second_in_row,
       .templates = {"{text} Who comes directly behind the {most} one?",
                     "Comparisons: {text} Second place, right below the {most}:",
                     "{text} If the {most} left, the new leader would be",
                     "Rank these people, the {most} at the top, and give rank two. {text}"},
       .unseen_templates = {"{text} Only the {most} one surpasses whom?",
                            "Who is second, if the {most} counts as number one? {text}"},
       .level_changes = level_changes},
      {.name = "least_of_all",
       .cluster = cluster,
       .description = "who stands last in a row told by comparisons",
       .num_choices = 3,
       .num_classes = 3,
       .draw = draw_least_of_all,
       .templates =
           {"{text} Everybody else is {more}. Of whom is this said?",
            "Comparisons: {text} At the bottom, where all others are {more}:",
            "{text} Who is {more} than nobody here?",
            "Rank these people. {text} Whom would you put lowest, with all others {more}?"},
       .unseen_templates = {"{text} Than whom is each of the others {more}?",
                            "Who is last when the {more} one always goes ahead? {text}"},
       .level_changes = level_changes},
      {.name = "compare_two",
       .cluster = cluster,
       .description = "is one person above another in a row told by comparisons",
       .num_choices = 2,
       .num_classes = 2,
       .draw = draw_compare_two,
       .templates = {"{text} Must {first} be {more} than {second}?",
                     "Comparisons: {text} Between {first} and {second}, {first} is {more}: yes or "
                     "no?",
                     "{text} Somebody guesses that {first} is {more} than {second}. Right?",
                     "Judge from these remarks if {first} is the {more} of the two, {second} the "
                     "other. {text}"},
       .unseen_templates = {"Given that {text} is {first} {more} than {second}?",
                            "{text} {first} or {second}: is {first} {more}?"},
       .level_changes = level_changes},
  };
}

}  // namespace flanmoe::data::builtin
