// Cluster `translation`: among the three generated languages.
#include <fmt/format.h>

#include "data/builtin/languages.h"
#include "data/builtin/task.h"

namespace flanmoe::data::builtin {
namespace {

// By order of meaning, not of words: what is evaluated in one direction is not trained on in
// another.
std::string identity_of(const std::vector<Clause>& clauses) {
  return say(toy_languages()[0], clauses);
}

template <size_t kFrom, size_t kTo>
Draft draw_translation(RandomStream& random, const Request& request) {
  const ToyLanguage& from = toy_languages()[kFrom];
  const ToyLanguage& to = toy_languages()[kTo];
  const std::vector<Clause> clauses = draw_clauses(random, request.level);
  return {{{"text", say(from, clauses)}, {"from", from.name}, {"to", to.name}},
          {},
          say(to, clauses),
          identity_of(clauses)};
}

Draft draw_which_language(RandomStream& random, const Request& request) {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const ToyLanguage& language : toy_languages()) all.push_back(language.name);
    return all;
  }();
  const std::vector<Clause> clauses = draw_clauses(random, request.level);
  const ToyLanguage& language = toy_languages()[request.answer_class];
  return {{{"text", say(language, clauses)}}, names, language.name, identity_of(clauses)};
}

TaskDefinition make_direction(const std::string& name, const std::string& description,
                              Draft (*draw)(RandomStream&, const Request&),
                              std::vector<std::string> templates,
                              std::vector<std::string> unseen_templates) {
  return {.name = name,
          .cluster = "translation",
          .description = description,
          .draw = draw,
          .templates = std::move(templates),
          .unseen_templates = std::move(unseen_templates),
          .level_changes = "objects, adjectives, the past, a second clause",
          .language = "mul"};
}

}  // namespace

std::vector<TaskDefinition> make_translation_tasks() {
  return {
      make_direction("translate_first_to_second", "from the first generated language to the second",
                     draw_translation<0, 1>,
                     {"Translate from {from} to {to}: {text}", "{from}: {text} {to}:",
                      "How does one say this in {to}? The {from} text is: {text}",
                      "A speaker of {from} tells us: {text} Put that into {to} for the guests."},
                     {"Give the {to} translation of this {from} text: {text}",
                      "{text} That was {from}. The same in {to}:"}),
      make_direction("translate_second_to_first", "from the second generated language to the first",
                     draw_translation<1, 0>,
                     {"Turn this {from} sentence into {to}: {text}",
                      "{from} = {text} {to} =", "Which {to} words mean the same as {from} {text}",
                      "Somebody who knows only {to} asks what {text} means. It is {from}."},
                     {"Write in {to} what stands here in {from}: {text}",
                      "{text} From {from} to {to}, this is"}),
      make_direction(
          "translate_second_to_third", "from the second generated language to the third",
          draw_translation<1, 2>,
          {"Please translate: {text} The language is {from}, the answer should be {to}.",
           "{from} | {text} | {to} |", "Say in {to}: {text} (that is {from})",
           "Our letter is written in {from}, the reader wants {to}. Letter: {text}"},
          {"From {from} into {to}: {text}", "Translate the {from} {text} and use {to}."}),
      make_direction("translate_third_to_second", "from the third generated language to the second",
                     draw_translation<2, 1>,
                     {"What is the {to} for {text} in {from}?", "{from} -> {to}. {text}",
                      "Render into {to} this piece of {from}: {text}",
                      "The {from} book says {text} The edition in {to} says"},
                     {"{text} is {from}. Translate it to {to}.", "{to} version of {from} {text}"}),
      make_direction("translate_first_to_third", "from the first generated language to the third",
                     draw_translation<0, 2>,
                     {"Express the {from} text in {to}: {text}",
                      "{text} {from} to {to}:", "In {to} please, not in {from}: {text}",
                      "Two signs hang side by side. One in {from}: {text} The other one in {to}:"},
                     {"{from} text: {text} Translation to {to}:",
                      "How would {to} people say the {from} {text}"}),
      make_direction("translate_third_to_first", "from the third generated language to the first",
                     draw_translation<2, 0>,
                     {"Change the language from {from} to {to}: {text}", "({from}) {text} ({to})",
                      "Read {from}, write {to}. {text}",
                      "The guide speaks {from}: {text} For the others he repeats it in {to}:"},
                     {"Translation wanted, {from} into {to}: {text}",
                      "{text} Now say that {from} sentence in {to}."}),
      {.name = "which_language",
       .cluster = "translation",
       .description = "in which of the generated languages a text is",
       .num_choices = 3,
       .num_classes = 3,
       .draw = draw_which_language,
       .templates = {"Which language is this? {text}", "{text} The language of the text:",
                     "Identify the tongue that is spoken here: {text}",
                     "We found a note: {text} The people who wrote it speak"},
       .unseen_templates = {"In what language is it written? {text}", "{text} Name the language."},
       .level_changes = "length of the text",
       .language = "mul"},
  };
}

}  // namespace flanmoe::data::builtin
