// Cluster `cloze`, held out: gaps in sentences about the world. It asks for relations (pets,
// dishes, emblems, where things were made) that no other cluster asks for; the corpus states them.
#include <fmt/format.h>

#include "data/builtin/draw.h"
#include "data/builtin/task.h"
#include "data/builtin/world.h"

namespace flanmoe::data::builtin {
namespace {

constexpr size_t kNumChoices = 4;
const char* const kGap = "____";

// With the level, sentences without a gap stand around the one that has it.
Draft make_draft(RandomStream& random, const Request& request, const std::string& gapped,
                 const std::string& subject, const std::string& answer,
                 const std::vector<std::string>& pool, std::string (*tell_other)(RandomStream&)) {
  const int64_t num_others = request.level - 1;
  const int64_t place = random.between(0, num_others);
  std::string text;
  for (int64_t i = 0; i <= num_others; ++i) {
    if (i > 0) text += ' ';
    text += i == place ? gapped : tell_other(random);
  }
  return {{{"text", text}}, draw_choices(random, answer, kNumChoices, pool), answer, subject};
}

std::string tell_pet(RandomStream& random) {
  const Person& person = random.pick(world().people);
  return fmt::format("{} keeps a {}.", person.name, person.pet);
}
std::string tell_dish(RandomStream& random) {
  const Person& person = random.pick(world().people);
  return fmt::format("The favourite dish of {} is {}.", person.name, person.dish);
}
std::string tell_emblem(RandomStream& random) {
  const Town& town = random.pick(world().towns);
  return fmt::format("The emblem of {} is the {}.", town.name, town.emblem);
}
std::string tell_origin(RandomStream& random) {
  const Thing& thing = random.pick(world().things);
  return fmt::format("The {} was made in {}.", thing.name, world().towns[thing.origin].name);
}

Draft draw_cloze_pet(RandomStream& random, const Request& request) {
  const Person& person = random.pick(world().people);
  return make_draft(random, request, fmt::format("{} keeps a {}.", person.name, kGap), person.name,
                    person.pet, world().pets, tell_dish);
}

Draft draw_cloze_dish(RandomStream& random, const Request& request) {
  const Person& person = random.pick(world().people);
  return make_draft(random, request,
                    fmt::format("The favourite dish of {} is {}.", person.name, kGap), person.name,
                    person.dish, world().dishes, tell_pet);
}

Draft draw_cloze_emblem(RandomStream& random, const Request& request) {
  const Town& town = random.pick(world().towns);
  return make_draft(random, request, fmt::format("The emblem of {} is the {}.", town.name, kGap),
                    town.name, town.emblem, world().emblems, tell_origin);
}

Draft draw_cloze_origin(RandomStream& random, const Request& request) {
  static const std::vector<std::string> towns = [] {
    std::vector<std::string> all;
    for (const Town& town : world().towns) all.push_back(town.name);
    return all;
  }();
  const Thing& thing = random.pick(world().things);
  return make_draft(random, request, fmt::format("The {} was made in {}.", thing.name, kGap),
                    thing.name, towns[thing.origin], towns, tell_emblem);
}

}  // namespace

std::vector<TaskDefinition> make_cloze_tasks() {
  const std::string cluster = "cloze";
  const std::string level_changes = "number of sentences around the one with the gap";
  return {
      {.name = "cloze_pet",
       .cluster = cluster,
       .description = "a gap where an animal belongs",
       .num_choices = kNumChoices,
       .draw = draw_cloze_pet,
       .templates = {"Fill in the blank. {text}", "{text} What animal fits into the gap?",
                     "A word was blotted out. Restore it: {text}",
                     "{text} Instead of the line there should be"},
       .unseen_templates = {"Complete the text: {text}", "{text} The hidden word:"},
       .level_changes = level_changes},
      {.name = "cloze_dish",
       .cluster = cluster,
       .description = "a gap where a dish belongs",
       .num_choices = kNumChoices,
       .draw = draw_cloze_dish,
       .templates = {"Put in the word that is left out: {text}",
                     "{text} What dish fits into the gap?",
                     "Ink ran over this note. Restore it: {text}",
                     "{text} The empty line stands for"},
       .unseen_templates = {"Close the gap: {text}", "{text} Which word is hidden?"},
       .level_changes = level_changes},
      {.name = "cloze_emblem",
       .cluster = cluster,
       .description = "a gap where the emblem of a town belongs",
       .num_choices = kNumChoices,
       .draw = draw_cloze_emblem,
       .templates = {"Supply the missing word. {text}", "{text} What sign fits into the gap?",
                     "The paper has a hole. Restore it: {text}", "{text} The line hides the word"},
       .unseen_templates = {"Make the text whole: {text}", "{text} Which word was taken out?"},
       .level_changes = level_changes},
      {.name = "cloze_origin",
       .cluster = cluster,
       .description = "a gap where the town in which a thing was made belongs",
       .num_choices = kNumChoices,
       .draw = draw_cloze_origin,
       .templates = {"Replace the line by the right name: {text}",
                     "{text} What town fits into the gap?",
                     "Rain has washed away a name. Restore it: {text}",
                     "{text} Read the line as if it were"},
       .unseen_templates = {"Insert the name that the text lacks: {text}",
                            "{text} Which name is hidden?"},
       .level_changes = level_changes},
  };
}

}  // namespace flanmoe::data::builtin
