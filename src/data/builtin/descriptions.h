// What is said of kinds of things, jobs, seasons and places.
#pragma once

#include <string>
#include <vector>

namespace flanmoe::data::builtin {

// What is said of things of one class and of no other; a clue is the rest of a sentence.
struct DescribedClass {
  std::string name;
  std::vector<std::string> clues;
};

struct Descriptions {
  std::string subject;  // "It"
  std::vector<DescribedClass> classes;
  std::vector<std::string> neutral;  // what may be said of all
};

const Descriptions& kind_descriptions();
const Descriptions& job_descriptions();
const Descriptions& season_descriptions();
const Descriptions& scene_descriptions();

}  // namespace flanmoe::data::builtin
