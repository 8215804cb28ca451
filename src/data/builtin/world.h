// The world that the corpus tells about and that questions are asked about: invented regions,
// towns, people and things. It is a pure function of a seed of its own and the same in every run,
// so that what one run pretrains on another can ask for.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace flanmoe::data::builtin {

struct Region {
  std::string name;
  size_t capital;  // a town
};

struct Town {
  std::string name;
  size_t region;
  std::string river;
  std::string emblem;  // asked for by the held-out cluster `cloze` alone
};

struct Person {
  std::string name;
  size_t town;
  std::string job;
  std::optional<size_t> teacher;  // a person
  std::string pet, dish;          // asked for by the held-out cluster `cloze` alone
};

struct Thing {
  std::string name;  // "copper lantern"
  size_t owner;      // a person
  size_t origin;     // the town where it was made; asked for by the held-out cluster `cloze` alone
};

struct World {
  std::vector<Region> regions;
  std::vector<Town> towns;  // as many in each region
  std::vector<Person> people;
  std::vector<Thing> things;
  std::vector<std::string> jobs, rivers, emblems, pets, dishes;
};

const World& world();

}  // namespace flanmoe::data::builtin
