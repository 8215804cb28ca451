// Cluster `inference`: does one sentence follow from, or agree with, another.
#include <fmt/format.h>

#include <algorithm>

#include "data/builtin/lexicon.h"
#include "data/builtin/task.h"

namespace flanmoe::data::builtin {
namespace {

const std::vector<std::string>& yes_no() {
  static const std::vector<std::string> choices = {"yes", "no"};
  return choices;
}

Draft draw_place_check(RandomStream& random, uint64_t answer_class) {
  const std::vector<std::string>& places = word_group("places").words;
  const std::string& name = random.pick(person_names());
  const std::string& place = random.pick(places);
  const std::string& claimed = answer_class == 0 ? place : draw_other(random, places, place);
  const std::string fact =
      fmt::format("{} is in the {} with {}.", name, place, with_article(random.pick(objects())));
  const std::string claim = fmt::format("{} is in the {}", name, claimed);
  return {{{"fact", fact}, {"claim", claim}}, yes_no(), yes_no()[answer_class], fact + " " + claim};
}

Draft draw_kind_check(RandomStream& random, uint64_t answer_class) {
  static const std::vector<std::string> names = {"animals", "foods", "tools", "clothes"};
  static const std::vector<std::string> verbs = {"found", "saw", "lost", "bought"};
  const std::string& group = random.pick(names);
  const std::string& claimed = answer_class == 0 ? group : draw_other(random, names, group);
  const std::string& name = random.pick(person_names());
  const std::string& verb = random.pick(verbs);
  const std::string fact =
      fmt::format("{} {} {}.", name, verb, with_article(random.pick(word_group(group).words)));
  const std::string claim = fmt::format("{} {} {}", name, verb, word_group(claimed).kind);
  return {{{"fact", fact}, {"claim", claim}}, yes_no(), yes_no()[answer_class], fact + " " + claim};
}

Draft draw_both_true(RandomStream& random, uint64_t answer_class) {
  const std::string& noun = random.pick(count_nouns()).singular;
  const std::string& adjective = random.pick(adjectives());
  std::string other = opposite_of(adjective);
  if (answer_class == 0)
    while (other == opposite_of(adjective) || other == adjective) other = random.pick(adjectives());
  const std::string first = fmt::format("The {} is {}.", noun, adjective);
  const std::string second = fmt::format("The {} is {}.", noun, other);
  return {{{"first", first}, {"second", second}},
          yes_no(),
          yes_no()[answer_class],
          noun + ": " + std::min(adjective, other) + ", " + std::max(adjective, other)};
}

Draft draw_mention(RandomStream& random, uint64_t answer_class) {
  const std::vector<std::string> things = draw_distinct(random, objects(), 4);
  const std::string text =
      fmt::format("{} packed the {}, the {} and the {}.", random.pick(person_names()), things[0],
                  things[1], things[2]);
  const std::string word = answer_class == 0 ? things[random.below(3)] : things[3];
  return {{{"text", text}, {"word", word}}, yes_no(), yes_no()[answer_class], text + " " + word};
}

}  // namespace

std::vector<TaskDefinition> make_inference_tasks() {
  return {
      {"place_check",
       "inference",
       "is a claim about somebody's place true",
       false,
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
       false,
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
       false,
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
       false,
       2,
       2,
       draw_mention,
       {"{text} Does the sentence mention the {word}?",
        "Is the word {word} in this sentence? {text}", "Look for {word}, yes or no: {text}",
        "Sentence: {text} Word: {word}. Is the word in it?"},
       {"Does this sentence mention the word {word}? {text}",
        "{text} Is {word} in the sentence, yes or no?"}},
  };
}

}  // namespace flanmoe::data::builtin
