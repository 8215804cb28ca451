// Cluster `world_knowledge`: questions about the world of the corpus, answered without a text. Who
// or what is asked about decides the split: a person that evaluation asks about is never asked
// about in training.
#include <fmt/format.h>

#include "data/builtin/draw.h"
#include "data/builtin/task.h"
#include "data/builtin/world.h"

namespace flanmoe::data::builtin {
namespace {

constexpr size_t kNumChoices = 4;

const std::vector<std::string>& town_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Town& town : world().towns) all.push_back(town.name);
    return all;
  }();
  return names;
}

const std::vector<std::string>& region_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Region& region : world().regions) all.push_back(region.name);
    return all;
  }();
  return names;
}

const std::vector<std::string>& people_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Person& person : world().people) all.push_back(person.name);
    return all;
  }();
  return names;
}

std::string answer_sentence(const std::string& answer) {
  return fmt::format("The answer is {}.", answer);
}

Draft draw_person_home(RandomStream& random, const Request&) {
  const Person& person = random.pick(world().people);
  const std::string& answer = world().towns[person.town].name;
  const auto choices = draw_choices(random, answer, kNumChoices, town_names());
  return {{{"name", person.name}}, choices, answer, person.name};
}

Draft draw_person_job(RandomStream& random, const Request&) {
  const Person& person = random.pick(world().people);
  const auto choices = draw_choices(random, person.job, kNumChoices, world().jobs);
  return {{{"name", person.name}}, choices, person.job, person.name};
}

Draft draw_thing_owner(RandomStream& random, const Request&) {
  const Thing& thing = random.pick(world().things);
  const std::string& answer = world().people[thing.owner].name;
  const auto choices = draw_choices(random, answer, kNumChoices, people_names());
  return {{{"thing", thing.name}}, choices, answer, thing.name};
}

Draft draw_town_river(RandomStream& random, const Request&) {
  const Town& town = random.pick(world().towns);
  const auto choices = draw_choices(random, town.river, kNumChoices, world().rivers);
  return {{{"town", town.name}}, choices, town.river, town.name};
}

// The answer is drawn first, so that no region is asked for more often than another.
Draft draw_home_region(RandomStream& random, const Request& request) {
  const Person* person = &random.pick(world().people);
  while (world().towns[person->town].region != request.answer_class)
    person = &random.pick(world().people);
  const std::string& town = world().towns[person->town].name;
  const std::string& answer = region_names()[request.answer_class];
  const auto choices = draw_choices(random, answer, kNumChoices, region_names());
  return {{{"name", person->name}},
          choices,
          answer,
          person->name,
          fmt::format("{} lives in {}. {} lies in {}. {}", person->name, town, town, answer,
                      answer_sentence(answer))};
}

Draft draw_owner_home(RandomStream& random, const Request&) {
  const Thing& thing = random.pick(world().things);
  const Person& owner = world().people[thing.owner];
  const std::string& answer = world().towns[owner.town].name;
  const auto choices = draw_choices(random, answer, kNumChoices, town_names());
  return {{{"thing", thing.name}},
          choices,
          answer,
          thing.name,
          fmt::format("The {} belongs to {}. {} lives in {}. {}", thing.name, owner.name,
                      owner.name, answer, answer_sentence(answer))};
}

// The first is asked about, the second stands beside it in one region or in another. The split is
// that of the pair.
Draft draw_same_region(RandomStream& random, const Request& request) {
  static const std::vector<std::string> choices = {"yes", "no"};
  const std::vector<Town>& towns = world().towns;
  const Town* first = &random.pick(towns);
  const Town* second = first;
  while (second == first || (first->region == second->region) != (request.answer_class == 0))
    second = &random.pick(towns);
  const std::string& answer = choices[request.answer_class];
  return {
      {{"first", first->name}, {"second", second->name}},
      choices,
      answer,
      sorted_identity({first->name, second->name}),
      fmt::format("{} lies in {}. {} lies in {}. {}", first->name, region_names()[first->region],
                  second->name, region_names()[second->region], answer_sentence(answer))};
}

// From a thing to its owner, perhaps to the teacher of the owner, to the home town, its region and
// the capital, and what river that lies on.
Draft draw_chain(RandomStream& random, const Request& request) {
  const int64_t num_hops = request.level + 1;
  const World& all = world();
  const bool has_teacher = num_hops >= 3 && (num_hops >= 5 || random.below(2) == 0);
  // The region at which the chain arrives is drawn first.
  const Thing* thing = nullptr;
  for (const Person* last = nullptr;
       last == nullptr || all.towns[last->town].region != request.answer_class;) {
    thing = &random.pick(all.things);
    last = &all.people[thing->owner];
    if (has_teacher) last = last->teacher ? &all.people[*last->teacher] : nullptr;
  }

  const Person* person = &all.people[thing->owner];
  std::string asked = "the owner of the " + thing->name;
  std::string work = fmt::format("The {} belongs to {}. ", thing->name, person->name);
  if (has_teacher) {
    const Person& teacher = all.people[*person->teacher];
    work += fmt::format("The teacher of {} is {}. ", person->name, teacher.name);
    asked = "the teacher of " + asked;
    person = &teacher;
  }
  const Town* town = &all.towns[person->town];
  const Region& region = all.regions[town->region];
  const Town& capital = all.towns[region.capital];
  asked = "the home town of " + asked;
  work += fmt::format("{} lives in {}. ", person->name, town->name);
  std::string answer = town->name;
  const std::vector<std::string>* pool = &town_names();
  int64_t left = num_hops - (has_teacher ? 3 : 2);
  if (left == 1 && random.below(2) == 0) {
    asked = "the river of " + asked;
    work += fmt::format("{} lies on the {}. ", town->name, town->river);
    answer = town->river;
    pool = &all.rivers;
    left = 0;
  }
  if (left > 0) {
    asked = "the region of " + asked;
    work += fmt::format("{} lies in {}. ", town->name, region.name);
    answer = region.name;
    pool = &region_names();
  }
  if (left > 1) {
    asked = "the capital of " + asked;
    work += fmt::format("The capital of {} is {}. ", region.name, capital.name);
    answer = capital.name;
    pool = &town_names();
  }
  if (left > 2) {
    asked = "the river of " + asked;
    work += fmt::format("{} lies on the {}. ", capital.name, capital.river);
    answer = capital.river;
    pool = &all.rivers;
  }
  const auto choices = draw_choices(random, answer, kNumChoices, *pool);
  return {{{"asked", asked}}, choices, answer, thing->name, work + answer_sentence(answer)};
}

}  // namespace

std::vector<TaskDefinition> make_world_knowledge_tasks() {
  const std::string cluster = "world_knowledge";
  return {
      {.name = "person_home",
       .cluster = cluster,
       .description = "the town in which somebody lives",
       .num_choices = kNumChoices,
       .draw = draw_person_home,
       .templates = {"In which town does {name} live?",
                     "Home of {name}:", "Somebody looks for {name}. To what town must he go?",
                     "Name the place where {name} has a house."},
       .unseen_templates = {"Where does {name} live?", "{name} is at home in"}},
      {.name = "person_job",
       .cluster = cluster,
       .description = "what somebody works as",
       .num_choices = kNumChoices,
       .draw = draw_person_job,
       .templates = {"What is the job of {name}?", "By trade {name} is a",
                     "How does {name} earn money?", "Profession of {name}:"},
       .unseen_templates = {"What does {name} work as?", "Name the trade of {name}."}},
      {.name = "thing_owner",
       .cluster = cluster,
       .description = "whose a thing is",
       .num_choices = kNumChoices,
       .draw = draw_thing_owner,
       .templates = {"Who owns the {thing}?", "The {thing} is the property of",
                     "To whom should a finder bring the {thing}?", "Owner of the {thing}:"},
       .unseen_templates = {"To whom does the {thing} belong?", "Whose is the {thing}?"}},
      {.name = "town_river",
       .cluster = cluster,
       .description = "the river on which a town lies",
       .num_choices = kNumChoices,
       .draw = draw_town_river,
       .templates = {"On which river does {town} lie?", "The water that flows through {town}:",
                     "Boats reach {town} by what river?", "Name the river of the town {town}."},
       .unseen_templates = {"What is the river of {town} called?",
                            "Which river runs through {town}?"}},
      {.name = "home_region",
       .cluster = cluster,
       .description = "the region of somebody's home town: two hops",
       .num_choices = kNumChoices,
       .num_classes = 8,
       .draw = draw_home_region,
       .templates = {"In which region is the home of {name}?", "Region where {name} lives:",
                     "Find the town of {name} on the map. What region is around it?",
                     "{name} is an inhabitant of"},
       .unseen_templates = {"To which region does the town of {name} belong?",
                            "Name the region in which {name} has a house."}},
      {.name = "owner_home",
       .cluster = cluster,
       .description = "where the owner of a thing lives: two hops",
       .num_choices = kNumChoices,
       .draw = draw_owner_home,
       .templates = {"Where does the owner of the {thing} live?",
                     "The {thing} is kept in the town of its owner, that is",
                     "In what town would you look for the {thing}?",
                     "Town of whoever has the {thing}:"},
       .unseen_templates = {"Name the home town of the owner of the {thing}.",
                            "The person who owns the {thing} lives where?"}},
      {.name = "same_region",
       .cluster = cluster,
       .description = "do two towns lie in one region",
       .num_choices = 2,
       .num_classes = 2,
       .draw = draw_same_region,
       .templates = {"Do {first} and {second} lie in the same region?",
                     "{first}, {second}: one region? Answer yes or no.",
                     "Can a traveller go from {first} to {second} and stay in one region?",
                     "Yes or no: both {first} and {second} belong to a single region."},
       .unseen_templates = {"Is the region of {first} that of {second} too?",
                            "Are {first} and {second} towns of one region, yes or no?"}},
      {.name = "fact_chain",
       .cluster = cluster,
       .description = "a question of several hops through the world",
       .num_choices = kNumChoices,
       .num_classes = 8,
       .draw = draw_chain,
       .templates = {"What is {asked}?", "Go step by step and name {asked}.",
                     "Somebody wants to know {asked}. Tell the answer.",
                     "Complete: {asked} is called"},
       .unseen_templates = {"Name {asked}.", "Which is {asked}?"},
       .level_changes = "number of hops: one more than the level"},
  };
}

}  // namespace flanmoe::data::builtin
