// Cluster `inference`: does one sentence follow from, or agree with, another, a rule, or the world.
#include <fmt/format.h>

#include <algorithm>

#include "data/builtin/draw.h"
#include "data/builtin/lexicon.h"
#include "data/builtin/task.h"
#include "data/builtin/world.h"

namespace flanmoe::data::builtin {
namespace {

const std::vector<std::string>& yes_no() {
  static const std::vector<std::string> choices = {"yes", "no"};
  return choices;
}

Draft draw_place_check(RandomStream& random, const Request& request) {
  const std::vector<std::string>& places = word_group("places").words;
  const std::string& name = random.pick(person_names());
  const std::string& place = random.pick(places);
  const std::string& claimed =
      request.answer_class == 0 ? place : draw_other(random, places, place);
  const std::string fact =
      fmt::format("{} is in the {} with {}.", name, place, with_article(random.pick(objects())));
  const std::string claim = fmt::format("{} is in the {}", name, claimed);
  return {{{"fact", fact}, {"claim", claim}},
          yes_no(),
          yes_no()[request.answer_class],
          fact + " " + claim};
}

Draft draw_kind_check(RandomStream& random, const Request& request) {
  static const std::vector<std::string> names = {"animals", "foods", "tools", "clothes"};
  static const std::vector<std::string> verbs = {"found", "saw", "lost", "bought"};
  const std::string& group = random.pick(names);
  const std::string& claimed = request.answer_class == 0 ? group : draw_other(random, names, group);
  const std::string& name = random.pick(person_names());
  const std::string& verb = random.pick(verbs);
  const std::string fact =
      fmt::format("{} {} {}.", name, verb, with_article(random.pick(word_group(group).words)));
  const std::string claim = fmt::format("{} {} {}", name, verb, word_group(claimed).kind);
  return {{{"fact", fact}, {"claim", claim}},
          yes_no(),
          yes_no()[request.answer_class],
          fact + " " + claim};
}

Draft draw_both_true(RandomStream& random, const Request& request) {
  const std::string& noun = random.pick(count_nouns()).singular;
  const std::string& adjective = random.pick(adjectives());
  std::string other = opposite_of(adjective);
  if (request.answer_class == 0)
    while (other == opposite_of(adjective) || other == adjective) other = random.pick(adjectives());
  const std::string first = fmt::format("The {} is {}.", noun, adjective);
  const std::string second = fmt::format("The {} is {}.", noun, other);
  return {{{"first", first}, {"second", second}},
          yes_no(),
          yes_no()[request.answer_class],
          noun + ": " + std::min(adjective, other) + ", " + std::max(adjective, other)};
}

Draft draw_mention(RandomStream& random, const Request& request) {
  const std::vector<std::string> things = draw_distinct(random, objects(), 4);
  const std::string text =
      fmt::format("{} packed the {}, the {} and the {}.", random.pick(person_names()), things[0],
                  things[1], things[2]);
  const std::string word = request.answer_class == 0 ? things[random.below(3)] : things[3];
  return {{{"text", text}, {"word", word}},
          yes_no(),
          yes_no()[request.answer_class],
          text + " " + word};
}

// A claim about somebody or something of the world of the corpus.
Draft draw_world_claim(RandomStream& random, const Request& request) {
  const bool is_true = request.answer_class == 0;
  const World& all = world();
  std::string subject, claim;
  switch (random.below(4)) {
    case 0: {
      const Person& person = random.pick(all.people);
      const Town& town = all.towns[person.town];
      const Town* claimed = &town;
      while (!is_true && claimed == &town) claimed = &random.pick(all.towns);
      subject = person.name + " home";
      claim = fmt::format("{} lives in {}", person.name, claimed->name);
      break;
    }
    case 1: {
      const Person& person = random.pick(all.people);
      subject = person.name + " job";
      claim = fmt::format("{} works as a {}", person.name,
                          is_true ? person.job : draw_other(random, all.jobs, person.job));
      break;
    }
    case 2: {
      const Thing& thing = random.pick(all.things);
      const Person& owner = all.people[thing.owner];
      const Person* claimed = &owner;
      while (!is_true && claimed == &owner) claimed = &random.pick(all.people);
      subject = thing.name;
      claim = fmt::format("the {} belongs to {}", thing.name, claimed->name);
      break;
    }
    default: {
      const Town& town = random.pick(all.towns);
      subject = town.name;
      claim = fmt::format("{} lies on the {}", town.name,
                          is_true ? town.river : draw_other(random, all.rivers, town.river));
      break;
    }
  }
  return {{{"claim", claim}}, yes_no(), yes_no()[request.answer_class], subject};
}

// The fact is about a town, the claim about its region, which only the corpus tells.
Draft draw_region_check(RandomStream& random, const Request& request) {
  static const std::vector<std::string> verbs = {"lives", "works", "was born", "got lost"};
  const World& all = world();
  const std::string& name = random.pick(person_names());
  const std::string& verb = random.pick(verbs);
  const Town& town = random.pick(all.towns);
  const Region& region = all.regions[town.region];
  const Region* claimed = &region;
  while (request.answer_class == 1 && claimed == &region) claimed = &random.pick(all.regions);
  const std::string fact = fmt::format("{} {} in {}.", name, verb, town.name);
  const std::string claim = fmt::format("{} {} in {}", name, verb, claimed->name);
  const std::string& answer = yes_no()[request.answer_class];
  return {{{"fact", fact}, {"claim", claim}},
          yes_no(),
          answer,
          fact + " " + claim,
          fmt::format("{} lies in {}. The answer is {}.", town.name, region.name, answer)};
}

// Statements about all things of a kind at a place: a claim follows, is ruled out, or is neither.
Draft draw_three_way(RandomStream& random, const Request& request) {
  static const std::vector<std::string> choices = {"yes", "no", "unknown"};
  const auto count = static_cast<size_t>(request.level);
  const auto nouns = draw_some(random, count_nouns(), count + 1);
  const auto pairs = draw_some(random, adjective_pairs(), count + 1);
  const auto places = draw_some(random, word_group("places").words, count + 1);
  std::string text;
  std::vector<std::string> looks;
  for (size_t i = 0; i < count; ++i) {
    looks.push_back(random.below(2) == 0 ? pairs[i].word : pairs[i].opposite);
    text += fmt::format("{}All the {} in the {} are {}.", i > 0 ? " " : "", nouns[i].plural,
                        places[i], looks[i]);
  }
  const size_t asked = random.below(count);
  const std::string* noun = &nouns[asked].singular;
  const std::string* place = &places[asked];
  std::string look = looks[asked];
  if (request.answer_class == 1) look = opposite_of(look);
  if (request.answer_class == 2) {
    const uint64_t changed = random.below(3);
    if (changed == 0) noun = &nouns[count].singular;
    if (changed == 1) place = &places[count];
    if (changed == 2) look = pairs[count].word;
  }
  const std::string claim = fmt::format(
      "{} {} in the {} is {}", noun->find_first_of("aeiou") == 0 ? "an" : "a", *noun, *place, look);
  const std::string& answer = choices[request.answer_class];
  return {{{"text", text}, {"claim", claim}}, choices, answer, text + " " + claim};
}

// "Every mib is a droon. Every droon is a tark. Pok is a mib. Is Pok a tark?"
Draft draw_rule_chain(RandomStream& random, const Request& request) {
  static const std::vector<std::string> kinds = {
      "wug",  "plim", "droon", "tark",  "zill", "mib",  "blick", "snarp", "gorp",   "vonk",
      "jask", "quib", "lerf",  "trune", "kiv",  "noop", "yart",  "bozz",  "fendle", "hask"};
  const auto length = static_cast<size_t>(request.level);
  // Two chains of as many rules; the individual is at the start of the first.
  const std::vector<std::string> drawn = draw_some(random, kinds, 2 * (length + 1));
  std::vector<std::string> rules;
  for (size_t chain = 0; chain < 2; ++chain)
    for (size_t i = 0; i < length; ++i) {
      const size_t kind = chain * (length + 1) + i;
      rules.push_back(fmt::format("Every {} is a {}.", drawn[kind], drawn[kind + 1]));
    }
  random.shuffle(rules);
  const std::string& name = random.pick(person_names());
  const bool is_true = request.answer_class == 0;
  const std::string& claimed = drawn[is_true ? length : 2 * length + 1];
  std::string text, work = fmt::format("{} is a {}", name, drawn[0]);
  for (const std::string& rule : rules) text += rule + " ";
  text += fmt::format("{} is a {}.", name, drawn[0]);
  for (size_t i = 1; i <= length; ++i) work += fmt::format(", so a {}", drawn[i]);
  const std::string& answer = yes_no()[request.answer_class];
  return {{{"text", text}, {"name", name}, {"kind", claimed}},
          yes_no(),
          answer,
          text + " " + claimed,
          fmt::format("{}. {} The answer is {}.", work,
                      is_true ? fmt::format("That makes {} a {}.", name, claimed)
                              : fmt::format("No rule makes {} a {}.", name, claimed),
                      answer)};
}

}  // namespace

std::vector<TaskDefinition> make_inference_tasks() {
  return {
      {"place_check",
       "inference",
       "is a claim about somebody's place true",
       true,
       2,
       2,
       draw_place_check,
       {"{fact} Is it true that {claim}?", "Fact: {fact} Claim: {claim}. Is the claim true?",
        "{fact} Can we say that {claim}, yes or no?",
        "Check the claim that {claim}. The fact is: {fact}"},
       {"Fact: {fact} Can we say that {claim}?",
        "{fact} Is the claim true that {claim}, yes or no?"}},
      {"kind_check",
       "inference",
       "does a statement about a kind follow from one about a thing",
       true,
       2,
       2,
       draw_kind_check,
       {"{fact} Does it follow that {claim}?",
        "We know this: {fact} Does it mean that {claim}? Answer yes or no.",
        "Does {claim} follow from this? {fact}",
        "First we read: {fact} Then we read: {claim}. Does that follow?"},
       {"We read: {fact} Does it follow, yes or no, that {claim}?",
        "{fact} Does this mean that {claim}?"}},
      {"both_true",
       "inference",
       "can two sentences both be true",
       true,
       2,
       2,
       draw_both_true,
       {"{first} {second} Can both be true?", "One: {first} Two: {second} Do they agree?",
        "Do these two sentences agree, yes or no? {first} {second}",
        "One says: {first} The other says: {second} Can both be right?"},
       {"Can both of these sentences be true? {first} {second}",
        "{first} {second} Do the two sentences agree?"}},
      {"mention",
       "inference",
       "does a sentence mention a thing",
       true,
       2,
       2,
       draw_mention,
       {"{text} Does the sentence mention the {word}?",
        "Is the word {word} in this sentence? {text}", "Look for {word}, yes or no: {text}",
        "Sentence: {text} Word: {word}. Is the word in it?"},
       {"Does this sentence mention the word {word}? {text}",
        "{text} Is {word} in the sentence, yes or no?"}},
      {.name = "world_claim",
       .cluster = "inference",
       .description = "is a claim about the world of the corpus true",
       .num_choices = 2,
       .num_classes = 2,
       .draw = draw_world_claim,
       .templates = {"As far as you know, is it so that {claim}?", "Yes or no: {claim}.",
                     "A traveller reports that {claim}. Was he right about that?",
                     "Statement: {claim}. Verdict, yes or no:"},
       .unseen_templates = {"Do you agree that {claim}?", "{claim}, yes or no?"}},
      {.name = "region_check",
       .cluster = "inference",
       .description = "does a claim about a region follow from a fact about a town",
       .num_choices = 2,
       .num_classes = 2,
       .draw = draw_region_check,
       .templates = {"{fact} Does that imply that {claim}?",
                     "Given: {fact} Hence {claim}, yes or no:",
                     "Look at the map after you have read this. {fact} Is it right that {claim}?",
                     "{fact} Somebody concludes that {claim}. Do we accept it?"},
       .unseen_templates = {"From {fact} one may infer that {claim}. Yes or no?",
                            "{fact} Therefore {claim}: is that correct?"}},
      {.name = "three_way",
       .cluster = "inference",
       .description = "does a claim follow, is it ruled out, or is neither known",
       .num_choices = 3,
       .num_classes = 3,
       .draw = draw_three_way,
       .templates = {"{text} Is it so that {claim}? Answer yes, no or unknown.",
                     "Premise: {text} Hypothesis: {claim}. Yes, no, unknown:",
                     "{text} What can be concluded about the idea that {claim}?",
                     "Suppose this holds. {text} Then {claim}: sure, excluded or open? Say yes, no "
                     "or unknown."},
       .unseen_templates = {"Premise: {text} Can we conclude that {claim}?",
                            "{text} Yes, no or unknown: {claim}?"},
       .level_changes = "number of statements"},
      {.name = "rule_chain",
       .cluster = "inference",
       .description = "does something follow from a chain of rules about invented kinds",
       .num_choices = 2,
       .num_classes = 2,
       .draw = draw_rule_chain,
       .templates = {"{text} Is {name} a {kind}?",
                     "Rules: {text} Can it be derived that {name} is a {kind}? Yes or no:",
                     "{text} Now put {name} into a box. May the label {kind} go on it, yes or no?",
                     "Apply the rules until you know if {name} counts as a {kind}. {text}"},
       .unseen_templates = {"{text} Must {name} be a {kind}?",
                            "Does it follow that {name} is a {kind}? {text}"},
       .level_changes = "length of the chain"},
  };
}

}  // namespace flanmoe::data::builtin
