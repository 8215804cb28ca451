// The corpus of the easy subset: what its small world is like, told in documents of 20 to 60 words.
// The sentences repeat themselves in the way that span corruption rewards: a word comes back, a
// list is told twice, a thing and its kind stand together.
#include <fmt/format.h>

#include <algorithm>

#include "data/builtin/corpus.h"
#include "data/builtin/lexicon.h"

namespace flanmoe::data::builtin {
namespace {

using fmt::format;

std::string tell_kinds(RandomStream& random) {
  const WordGroup& group = random.pick(word_groups());
  const std::vector<std::string> words = draw_distinct(random, group.words, 3);
  switch (random.below(4)) {
    case 0:
      return format("{} is {}. {} is {} and {} is {} too. They belong to the {}.",
                    capitalised(words[0]), group.kind, capitalised(words[1]), group.kind, words[2],
                    group.kind, group.name);
    case 1:
      return format("{}: {}. The {} and the {} are {}.", capitalised(group.name), join_words(words),
                    words[0], words[2], group.name);
    case 2:
      return format("In the group {} there are {}. All of these are {}.", group.name,
                    join_words(words, "and"), group.name);
    default:
      return format("The list {} is about {}. The word {} names {}.", join_words(words), group.name,
                    words[1], group.kind);
  }
}

std::string tell_two_kinds(RandomStream& random) {
  const std::vector<WordGroup> groups = draw_distinct(random, word_groups(), 2);
  const std::string& first = random.pick(groups[0].words);
  const std::vector<std::string> others = draw_distinct(random, groups[1].words, 2);
  if (random.below(2) == 0)
    return format(
        "The words {} are not of one kind. {} belongs to the {}, but {} and {} belong to the {}.",
        join_words({others[0], first, others[1]}), capitalised(first), groups[0].name, others[0],
        others[1], groups[1].name);
  return format("{} is {}, {} is {}. So {} is not {}.", capitalised(first), groups[0].kind,
                others[0], groups[1].kind, first, groups[1].kind);
}

std::string tell_opposites(RandomStream& random) {
  const AdjectivePair& pair = random.pick(adjective_pairs());
  const bool is_swapped = random.below(2) == 0;
  const std::string& word = is_swapped ? pair.opposite : pair.word;
  const std::string& other = is_swapped ? pair.word : pair.opposite;
  const std::string& noun = random.pick(count_nouns()).singular;
  switch (random.below(3)) {
    case 0:
      return format("The opposite of {} is {}. {} {} is not {} {}.", word, other,
                    capitalised(with_article(word)), noun, with_article(other), noun);
    case 1:
      return format("The {} is {}. It cannot be {}, for {} is the opposite of {}.", noun, word,
                    other, other, word);
    default:
      return format("One {} is {}, the other {} is {}. They are opposite.", noun, word, noun,
                    other);
  }
}

std::string tell_numbers(RandomStream& random) {
  static const std::vector<std::string> numbers = {"two", "three", "four", "five", "many"};
  const CountNoun& noun = random.pick(count_nouns());
  const std::string& word =
      random.below(2) == 0 ? random.pick(adjectives()) : random.pick(word_group("colours").words);
  const std::string& name = random.pick(person_names());
  switch (random.below(3)) {
    case 0:
      return format("One {}, {} {}. One {} {}, more than one {}.", noun.singular,
                    random.pick(numbers), noun.plural, word, noun.singular, noun.plural);
    case 1:
      return format("{} has one {} {}, but {} would like {} {} {}.", name, word, noun.singular,
                    random.pick(person_names()), random.pick(numbers), word, noun.plural);
    default:
      return format("There is {} {} here. Over there are {} {} {}.", with_article(word),
                    noun.singular, random.pick(numbers), word, noun.plural);
  }
}

std::string tell_sum(RandomStream& random) {
  static const std::vector<std::string> numbers = {
      "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"};
  const uint64_t sum = 2 + random.below(9), first = 1 + random.below(sum - 1);
  return format("{} and {} make {}. {} less {} leaves {}.", numbers[first], numbers[sum - first],
                numbers[sum], numbers[sum], numbers[first], numbers[sum - first]);
}

std::string tell_list(RandomStream& random) {
  const std::vector<std::string> words =
      draw_distinct(random, random.below(2) == 0 ? all_group_words() : objects(),
                    static_cast<size_t>(random.between(3, 5)));
  const size_t last = words.size() - 1;
  const size_t place = random.below(last);
  const std::string list = join_words(words);
  switch (random.below(4)) {
    case 0:
      return format("{}. The first word is {} and the last word is {}.", list, words[0],
                    words[last]);
    case 1:
      return format("In the list {} the word {} follows {}.", list, words[place + 1], words[place]);
    case 2:
      return format("{} read the list {}. Then {} wrote down {}.", random.pick(person_names()),
                    list, random.pick(person_names()), list);
    default:
      return format("{}. At the start stands {}, after {} comes {}, at the end stands {}.", list,
                    words[0], words[place], words[place + 1], words[last]);
  }
}

std::string tell_opinion(RandomStream& random) {
  const bool is_good = random.below(2) == 0;
  const std::vector<std::string> things = draw_distinct(random, reviewed_things(), 2);
  const std::vector<std::string> words =
      draw_distinct(random, is_good ? good_words() : bad_words(), 3);
  const std::string& name = random.pick(person_names());
  switch (random.below(3)) {
    case 0:
      return format("The {} was {} and {}. {} wrote a {} review, for the opinion was {}.",
                    things[0], words[0], words[1], name, is_good ? "positive" : "negative",
                    is_good ? "positive" : "negative");
    case 1:
      return format("{} found the {} {}, and the {} was {} too. What {} day!", name, things[0],
                    words[0], things[1], words[1], with_article(words[2]));
    default:
      return format("I {} the {}. It was {} and also {}.", is_good ? "loved" : "hated", things[0],
                    words[0], words[1]);
  }
}

std::string tell_mood(RandomStream& random) {
  const Mood& mood = random.pick(moods());
  const std::vector<std::string> pair = draw_distinct(random, mood.signs, 2);
  const std::string& name = random.pick(person_names());
  const std::string& place = random.pick(word_group("places").words);
  if (random.below(2) == 0)
    return format("{} was {} in the {} and {}. {} person {}.", name, mood.name, place, pair[0],
                  capitalised(with_article(mood.name)), pair[1]);
  return format("{} {} and {} in the {}, for {} was {}.", name, pair[0], pair[1], place, name,
                mood.name);
}

std::string tell_visit(RandomStream& random) {
  const std::string& name = random.pick(person_names());
  const std::string& place = random.pick(word_group("places").words);
  if (random.below(2) == 0)
    return format("{} went to the {} and {}. {} would like to visit the {} again.", name, place,
                  random.pick(joys()), name, place);
  return format("{} went to the {} and {}. {} will not go back to the {}.", name, place,
                random.pick(pains()), name, place);
}

std::string tell_manners(RandomStream& random) {
  const std::vector<std::string> names = draw_distinct(random, person_names(), 2);
  const std::string& request = random.pick(requests());
  switch (random.below(4)) {
    case 0:
      return format("Could you {}, please, said {}. Thank you, {}. That was polite.", request,
                    names[0], names[1]);
    case 1:
      return format("Please {}, dear {}. {} is a polite speaker.", request, names[0], names[1]);
    case 2:
      return format("Just {} now, you lazy fool, said {}. That was rude.", request, names[0]);
    default:
      return format("Shut up, said {}, and {} at once! {} was rude to {}.", names[0], request,
                    names[0], names[1]);
  }
}

// Who has what, who is where: told once, then told again.
std::string tell_twice(RandomStream& random) {
  const std::vector<std::string> names = draw_distinct(random, person_names(), 2);
  const std::vector<std::string> things = draw_distinct(random, objects(), 2);
  const std::vector<std::string> places = draw_distinct(random, word_group("places").words, 2);
  const size_t asked = random.below(2), other = 1 - asked;
  switch (random.below(5)) {
    case 0:
      return format(
          "{} has a {} and {} has a {}. So the {} belongs to {} and the {} belongs to {}.",
          names[0], things[0], names[1], things[1], things[asked], names[asked], things[other],
          names[other]);
    case 1:
      return format("{} is in the {}. {} is in the {}. We find {} in the {} and {} in the {}.",
                    names[0], places[0], names[1], places[1], names[asked], places[asked],
                    names[other], places[other]);
    case 2:
      return format("{} gave the {} to {}. Now {} has the {} of {}.", names[0], things[0], names[1],
                    names[1], things[0], names[0]);
    case 3:
      return format("The {} is in the {}, the {} is in the {}. In the {} there is the {}.",
                    things[0], places[0], things[1], places[1], places[asked], things[asked]);
    default: {
      const std::vector<std::string> looks = draw_distinct(random, adjectives(), 2);
      return format("{} has {} {} and {} {}. The {} is {}, the {} is {}.", names[0],
                    with_article(looks[0]), things[0], with_article(looks[1]), things[1],
                    things[asked], looks[asked], things[other], looks[other]);
    }
  }
}

std::string tell_looks(RandomStream& random) {
  const std::vector<std::string> things = draw_distinct(random, objects(), 2);
  const std::vector<std::string> colours = draw_distinct(random, word_group("colours").words, 2);
  const size_t asked = random.below(2);
  return format("A {} {} and a {} {} were in the shop. {} took the {} one, that is the {}.",
                colours[0], things[0], colours[1], things[1], random.pick(person_names()),
                colours[asked], things[asked]);
}

std::string tell_meal(RandomStream& random) {
  const std::vector<std::string> names = draw_distinct(random, person_names(), 2);
  const std::vector<std::string> foods = draw_distinct(random, word_group("foods").words, 2);
  if (random.below(2) == 0)
    return format("{} likes {} and {}. Today {} eats {} with {}.", names[0], foods[0], foods[1],
                  names[0], with_article(foods[0]), names[1]);
  return format("On the plate there is {}. {} will eat it, for {} likes {}.",
                with_article(foods[0]), names[0], names[0], foods[0]);
}

std::string tell_things(RandomStream& random) {
  static const std::vector<std::string> verbs = {"found", "saw", "lost", "bought"};
  const WordGroup& group = random.pick(word_groups());
  const std::string& name = random.pick(person_names());
  if (group.name == "colours" || group.name == "places") {
    const std::vector<std::string> things = draw_distinct(random, objects(), 3);
    return format("{} packed the {}, the {} and the {}. The {} is in the bag.", name, things[0],
                  things[1], things[2], random.pick(things));
  }
  const std::string& verb = random.pick(verbs);
  return format("{} {} {}. That means that {} {} {}.", name, verb,
                with_article(random.pick(group.words)), name, verb, group.kind);
}

std::string tell_place(RandomStream& random) {
  const std::string& thing = random.pick(objects());
  const std::string& spot = random.pick(spots());
  const std::string& name = random.pick(person_names());
  if (random.below(2) == 0)
    return format("The {} lies by the {}. {} holds on to the {} and looks at it.", thing, spot,
                  name, spot);
  return format("My {} is by the {}, said {}. {} took the {} from there.", thing, spot, name,
                random.pick(person_names()), thing);
}

// "Bramford", "Kelwick": names of two syllables.
std::string draw_town(RandomStream& random) {
  static const std::vector<std::string> starts = {"Bram", "Kel",   "Wen",  "Tar", "Ash",  "Hol",
                                                  "Stan", "Thorn", "Lang", "Dun", "Crow", "Hart"};
  static const std::vector<std::string> ends = {"ford", "wick",  "low",   "beck", "ton",   "ham",
                                                "bury", "mouth", "stead", "dale", "field", "worth"};
  return random.pick(starts) + random.pick(ends);
}

// Words that no task uses: a vocabulary trained on the corpus alone has something to fill its
// thousand pieces with.
std::string tell_wider_world(RandomStream& random) {
  using Words = std::vector<std::string>;
  static const Words jobs = {"baker",    "teacher", "doctor",  "farmer", "sailor",  "painter",
                             "driver",   "nurse",   "soldier", "singer", "judge",   "priest",
                             "tailor",   "miner",   "hunter",  "waiter", "captain", "guard",
                             "merchant", "student", "king",    "queen",  "thief",   "pilot"};
  static const Words acts = {
      "walked",   "jumped",    "waited",  "slept",   "worked",  "listened", "whispered", "studied",
      "counted",  "travelled", "rested",  "climbed", "watched", "played",   "dreamed",   "argued",
      "stumbled", "hurried",   "arrived", "paused",  "nodded",  "knocked",  "turned",    "began",
      "coughed",  "bowed",     "yawned",  "prayed",  "fought",  "cheered",  "whistled",  "marched",
      "fished",   "gardened",  "voted",   "vanished"};
  static const Words days = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                             "Friday", "Saturday", "Sunday"};
  static const Words months = {"January",   "February", "March",    "April",
                               "May",       "June",     "July",     "August",
                               "September", "October",  "November", "December"};
  static const Words weather = {"windy", "cloudy", "foggy", "sunny",  "stormy",
                                "rainy", "snowy",  "mild",  "gloomy", "frosty"};
  static const Words family = {"mother", "father",   "sister", "brother",   "uncle",  "aunt",
                               "cousin", "daughter", "son",    "neighbour", "friend", "baby"};
  static const Words plants = {"rose",  "tulip",  "oak",  "pine", "grass", "moss",
                               "daisy", "willow", "reed", "fern", "maple", "birch"};
  static const Words vehicles = {"train", "wagon", "boat",   "bicycle",  "lorry",
                                 "ship",  "tram",  "sledge", "carriage", "aeroplane"};
  static const Words body = {"hand", "foot",  "head",  "shoulder", "knee", "finger",
                             "nose", "mouth", "elbow", "ankle",    "chin", "wrist"};
  static const Words matter = {"wood",  "stone",   "iron", "silver", "gold", "glass",
                               "paper", "leather", "wool", "copper", "clay", "cotton"};
  static const Words built = {"bridge", "tower",   "castle", "fence",  "cottage", "barn",
                              "palace", "harbour", "tunnel", "temple", "statue",  "mill"};
  static const Words times = {"morning",  "evening", "afternoon", "night",  "noon",
                              "midnight", "spring",  "summer",    "autumn", "winter"};
  static const Words manners = {
      "slowly",    "gently",   "suddenly", "quickly", "bravely", "quietly", "gladly",  "carefully",
      "badly",     "alone",    "together", "often",   "daily",   "indoors", "outside", "twice",
      "yesterday", "tomorrow", "seldom",   "already", "almost",  "nearby",  "abroad",  "secretly"};
  static const Words numbers = {"eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen",
                                "twenty", "thirty", "forty",    "fifty",    "sixty",   "hundred"};
  static const Words qualities = {
      "clever",  "brave",  "honest",   "proud",    "gentle",   "curious",  "patient",  "nervous",
      "jealous", "famous", "friendly", "careless", "cheerful", "stubborn", "generous", "foolish",
      "silent",  "humble", "wicked",   "elegant",  "modest",   "cautious", "ancient",  "noble"};
  static const Words lands = {"China", "Egypt",  "France", "Greece", "India",  "Japan",
                              "Kenya", "Norway", "Peru",   "Spain",  "Turkey", "Brazil"};
  static const Words goods = {"pepper",  "pottery",   "carpets",  "candles",  "coffee",
                              "jewels",  "furniture", "machines", "medicine", "newspapers",
                              "oranges", "tobacco",   "blankets", "bottles",  "mirrors",
                              "ribbons", "pencils",   "barrels",  "baskets",  "curtains",
                              "pillows", "cushions",  "statues",  "engines"};
  static const Words nature = {"mountain", "valley",  "desert",    "island",  "meadow",  "ocean",
                               "cliff",    "swamp",   "glacier",   "volcano", "canyon",  "lagoon",
                               "orchard",  "pasture", "harvest",   "storm",   "thunder", "rainbow",
                               "shadow",   "sunrise", "waterfall", "pebble",  "hedge",   "marsh"};
  switch (random.below(10)) {
    case 8:
      return format("The {} of {} {} to {} and {}.", random.pick(jobs), draw_town(random),
                    random.pick(acts), draw_town(random), draw_town(random));
    case 9:
      return format("From {} to {} it is {} miles, to {} {} more.", draw_town(random),
                    draw_town(random), random.pick(numbers), draw_town(random),
                    random.pick(numbers));
    case 6:
      return format("{} {} sailors brought {} from {} to {}.", capitalised(random.pick(numbers)),
                    random.pick(qualities), random.pick(goods), random.pick(lands),
                    random.pick(lands));
    case 7:
      return format("The {} {} of {} knew every {} and {} of {}.", random.pick(qualities),
                    random.pick(jobs), draw_town(random), random.pick(nature), random.pick(nature),
                    random.pick(lands));
    case 0:
      return format("On {} in {} it was {}. The {} {} {}.", random.pick(days), random.pick(months),
                    random.pick(weather), random.pick(jobs), random.pick(acts),
                    random.pick(manners));
    case 1: {
      const Words kin = draw_distinct(random, family, 2);
      return format("Her {} is a {}, his {} is a {}. Every {} they travelled by {}.", kin[0],
                    random.pick(jobs), kin[1], random.pick(jobs), random.pick(times),
                    random.pick(vehicles));
    }
    case 2:
      return format("The {} of {} was built of {}. Near it grew {} and {}.", random.pick(built),
                    draw_town(random), random.pick(matter), random.pick(plants),
                    random.pick(plants));
    case 3:
      return format("During the {} our {} hurt a {} and {} {} near the {}.", random.pick(times),
                    random.pick(family), random.pick(body), random.pick(acts), random.pick(manners),
                    random.pick(built));
    case 4: {
      const Words people = draw_distinct(random, jobs, 2);
      return format("The {} and the {} {} {}. The {} {} before the {}.", people[0], people[1],
                    random.pick(acts), random.pick(manners), people[1], random.pick(acts),
                    people[0]);
    }
    default: {
      const Words stuff = draw_distinct(random, matter, 2);
      return format("A {} of {} is harder to carry than a {} of {}, our {} {} said.",
                    random.pick(built), stuff[0], random.pick(vehicles), stuff[1],
                    random.below(2) == 0 ? "old" : "young", random.pick(family));
    }
  }
}

// About words, lists and stories: the words that instructions are made of.
std::string tell_language(RandomStream& random) {
  static const std::vector<std::string> sentences = {
      "Which word belongs to which group? The writer can choose one of the groups.",
      "Put the word into the right group and name the group.",
      "Words come in groups. Take a list as a group, then the group has a name.",
      "Pick a word from the list. Find only the one that is odd.",
      "Find the other words of the same kind. Three of the words are alike, all but one.",
      "What is this list about? Give it one name for all of these things.",
      "A review is the opinion of the writer. Is it positive or negative? Read it and tell.",
      "Somebody said it in a polite way. The speaker was not rude. Tell whether you agree.",
      "Say yes or say no. The answer is yes, or the answer is no.",
      "Was the answer yes? Would they want to go back there? Will they like to visit the place "
      "again?",
      "How do you feel? My mood is happy. How did they feel? Tell the mood.",
      "Here is a visit to the village. Would you go there again?",
      "The fact is true, and so the claim is true. Check the claim and check the fact.",
      "Can we say that it is true? We can say that if the fact is true.",
      "Does it follow? It does follow from this. Does this mean the same?",
      "First we read one sentence, then we read the other. We know what they say.",
      "These two sentences agree. Both can be true. Both of these can be right.",
      "One says this, the other says that. Do the two agree?",
      "Does the sentence mention the word? Look for the word in the sentence.",
      "Write down the first word. Copy the word at the start of the list, not the last.",
      "Give the next word, the one that stands right after. Which word comes after?",
      "In a list one word follows the other. What follows the last word? Nothing.",
      "Make it plural. Change one into many. Write this for more than one.",
      "The plural of a word is for more than one thing. Turn one into many.",
      "Turn the word into its opposite. Say the opposite, write the opposite.",
      "Story: a story can have a question. Question: where is the story from, and what has it got?",
      "Who is at the door? By the door stands a horse. Whose horse is it?",
      "Where did they lie in the sun? They lie by the river. What colour is the sky?",
      "What does the cow eat? On its plate there is nothing. By what way did it go?",
      "Name the people. Give the name of the street. What food do they like?",
      "On the wall there is a flag. Tell me what the colour of my flag is.",
      "List: a list of words. Word: a word of the list. Sentence: a sentence of words.",
      "Review: a good book. Fact: the sun is hot. Claim: the sun is cold. Answer no.",
      "Three words: one, two, three. Two: the next. One: the first. Groups: all of them. Words: "
      "many.",
      "Only three are left. Copy them and check them. From here look for the end. Look for a name.",
      "Choose well, change little, and make it your own. Write it down.",
      "Are they alike? Was it so? Did it rain? Can it be? Do they know?",
  };
  return random.pick(sentences);
}

}  // namespace

std::string make_easy_document(uint64_t seed, uint64_t index) {
  using Teller = std::string (*)(RandomStream&);
  static const std::vector<Teller> tellers = {
      tell_kinds,       tell_kinds,    tell_two_kinds, tell_opposites,   tell_opposites,
      tell_numbers,     tell_numbers,  tell_sum,       tell_list,        tell_list,
      tell_opinion,     tell_opinion,  tell_mood,      tell_visit,       tell_manners,
      tell_twice,       tell_twice,    tell_looks,     tell_meal,        tell_things,
      tell_place,       tell_language, tell_language,  tell_wider_world, tell_wider_world,
      tell_wider_world,
  };
  constexpr int64_t kEnough =
      24;  // words; the longest part has 30, so that a document stays below 60
  RandomStream random(RandomKey(seed, RandomPurpose::Generator).fold("document").fold(index));
  std::string text;
  for (int64_t num_words = 0; num_words < kEnough;
       num_words = 1 + std::count(text.begin(), text.end(), ' ')) {
    if (!text.empty()) text += ' ';
    text += random.pick(tellers)(random);
  }
  return text;
}

}  // namespace flanmoe::data::builtin
