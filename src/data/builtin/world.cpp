#include "data/builtin/world.h"

#include <set>

#include "base/random.h"

namespace flanmoe::data::builtin {
namespace {

constexpr uint64_t kWorldSeed = 20260501;
constexpr size_t kNumRegions = 8, kTownsOfRegion = 8, kNumPeople = 320, kNumThings = 320;

using Words = std::vector<std::string>;

// Names put together of two parts, no name twice.
class Names {
 public:
  explicit Names(RandomStream& random) : random_(random) {}
  std::string draw(const Words& starts, const Words& ends, const std::string& between = "") {
    for (;;) {
      std::string name = random_.pick(starts) + between;
      name += random_.pick(ends);
      if (used_.insert(name).second) return name;
    }
  }

 private:
  RandomStream& random_;
  std::set<std::string> used_;
};

// Every value as often as any other, in random order.
Words deal(RandomStream& random, const Words& values, size_t count) {
  Words dealt;
  for (size_t i = 0; i < count; ++i) dealt.push_back(values[i % values.size()]);
  random.shuffle(dealt);
  return dealt;
}

World make_world() {
  RandomStream random(RandomKey(kWorldSeed, RandomPurpose::Generator).fold("world"));
  Names names(random);
  World world;
  world.jobs = {"baker",    "teacher", "doctor",   "farmer", "sailor",  "painter",
                "driver",   "nurse",   "soldier",  "singer", "judge",   "priest",
                "tailor",   "miner",   "hunter",   "waiter", "captain", "guard",
                "merchant", "butcher", "gardener", "mason",  "clerk",   "dancer"};
  world.emblems = {
      "eagle",   "swan",    "dolphin", "dragon",  "stag",    "lighthouse", "comet",   "rose",
      "anchor",  "arrow",   "sword",   "galley",  "boar",    "owl",        "thistle", "wheel",
      "raven",   "salmon",  "beaver",  "lynx",    "otter",   "badger",     "hare",    "crane",
      "heron",   "falcon",  "panther", "unicorn", "griffin", "phoenix",    "mermaid", "giant",
      "trident", "shield",  "helmet",  "lance",   "bow",     "axle",       "plough",  "sickle",
      "scythe",  "anvil",   "torch",   "candle",  "bellows", "hourglass",  "sundial", "globe",
      "harp",    "trumpet", "fiddle",  "cherry",  "acorn",   "lily",       "clover",  "ivy leaf",
      "sheaf",   "grape",   "pear",    "walnut",  "beehive", "snail",      "crab",    "lobster"};
  world.pets = {"parrot", "turtle",   "hamster", "rabbit", "goldfish", "ferret",
                "pony",   "hedgehog", "canary",  "lizard", "donkey",   "peacock"};
  world.dishes = {"pancakes", "dumplings", "noodles", "stew",      "salad",    "porridge",
                  "waffles",  "omelette",  "lentils", "mushrooms", "sausages", "pudding"};

  static const Words region_starts = {"Nor", "Val", "Ost", "Mer", "Cal", "Tor", "Ister", "Hel"};
  static const Words region_ends = {"land", "mark", "ria", "donia", "shire", "via"};
  static const Words town_starts = {"Pel", "Gren", "Mos", "Tarn", "Wim", "Bel", "Cray", "Dor",
                                    "Fos", "Lum",  "Ros", "Sken", "Ulm", "Yar", "Ek",   "Han"};
  static const Words town_ends = {"by",   "haven", "gate",   "minster", "port",
                                  "holt", "cliff", "bridge", "mere",    "well"};
  static const Words river_starts = {"Av", "Dr", "Is", "Tam", "Or", "Nel", "Sav", "Ud"};
  static const Words river_ends = {"ana", "ava", "en", "ira", "una", "iss"};
  static const Words first_starts = {"Al",  "Ber", "Cor", "Dal", "El",  "Fen", "Gar", "Hal",
                                     "Ir",  "Jor", "Kal", "Lor", "Mar", "Nel", "Or",  "Per",
                                     "Ros", "Sel", "Tam", "Ul",  "Ver", "Wil", "Yor", "Zan"};
  static const Words first_ends = {"a", "in", "do", "is", "eth", "mo", "ric", "una", "ian", "wen"};
  static const Words family_starts = {"Ash",   "Birch", "Black", "Brook", "Copper", "Fair",
                                      "Green", "Hazel", "Marsh", "North", "Stone",  "Winter"};
  static const Words family_ends = {"wood", "field", "man", "water", "hill", "by", "croft", "ley"};
  static const Words materials = {"copper", "silver", "glass",   "wooden", "iron",
                                  "golden", "marble", "leather", "paper",  "clay",
                                  "bronze", "ivory",  "amber",   "jade"};
  static const Words nouns = {
      "lantern",  "clock",   "mirror", "flute",      "kettle",    "vase",   "compass",     "chest",
      "whistle",  "crown",   "saddle", "statue",     "telescope", "violin", "candlestick", "goblet",
      "bracelet", "inkwell", "teapot", "chessboard", "cradle",    "medal",  "spindle",     "tray"};

  for (size_t i = 0; i < 32; ++i) world.rivers.push_back(names.draw(river_starts, river_ends));
  const size_t num_towns = kNumRegions * kTownsOfRegion;
  const Words rivers = deal(random, world.rivers, num_towns);
  const Words emblems = deal(random, world.emblems, num_towns);
  std::set<std::string> rivers_of_capitals;  // no two on one river
  for (size_t i = 0; i < kNumRegions; ++i) {
    Region region = {names.draw(region_starts, region_ends), 0};
    do region.capital = i * kTownsOfRegion + random.below(kTownsOfRegion);
    while (!rivers_of_capitals.insert(rivers[region.capital]).second);
    world.regions.push_back(std::move(region));
  }
  for (size_t i = 0; i < num_towns; ++i)
    world.towns.push_back(
        {names.draw(town_starts, town_ends), i / kTownsOfRegion, rivers[i], emblems[i]});

  Words first_names, family_names;
  for (size_t i = 0; i < 160; ++i) first_names.push_back(names.draw(first_starts, first_ends));
  for (size_t i = 0; i < 60; ++i) family_names.push_back(names.draw(family_starts, family_ends));
  const Words jobs = deal(random, world.jobs, kNumPeople);
  const Words pets = deal(random, world.pets, kNumPeople);
  const Words dishes = deal(random, world.dishes, kNumPeople);
  std::vector<size_t> homes;
  for (size_t i = 0; i < kNumPeople; ++i) homes.push_back(i % num_towns);
  random.shuffle(homes);
  for (size_t i = 0; i < kNumPeople; ++i)
    world.people.push_back({names.draw(first_names, family_names, " "), homes[i], jobs[i],
                            std::nullopt, pets[i], dishes[i]});
  // The first quarter taught the rest, so that no chain of teachers is a circle.
  const size_t num_teachers = kNumPeople / 4;
  for (size_t i = num_teachers; i < kNumPeople; ++i)
    world.people[i].teacher = random.below(num_teachers);

  std::vector<size_t> owners;
  for (size_t i = 0; i < kNumPeople; ++i) owners.push_back(i);
  random.shuffle(owners);
  for (size_t i = 0; i < kNumThings; ++i)
    world.things.push_back({names.draw(materials, nouns, " "), owners[i], random.below(num_towns)});
  return world;
}

}  // namespace

const World& world() {
  static const World made = make_world();
  return made;
}

}  // namespace flanmoe::data::builtin
