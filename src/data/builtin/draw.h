// Drawing choices and lists.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "base/random.h"

namespace flanmoe::data::builtin {

// `count` values of different places, in random order; cheap where `count` is small.
template <class T>
std::vector<T> draw_some(RandomStream& random, const std::vector<T>& values, size_t count) {
  std::vector<size_t> places;
  std::vector<T> drawn;
  while (places.size() < count) {
    const size_t place = random.below(values.size());
    if (std::find(places.begin(), places.end(), place) != places.end()) continue;
    places.push_back(place);
    drawn.push_back(values[place]);
  }
  return drawn;
}

// `num_choices` different choices, `answer` among them at a random place; the others come from
// `make_other()`, called until enough differ.
template <class MakeOther>
std::vector<std::string> draw_choices(RandomStream& random, const std::string& answer,
                                      size_t num_choices, MakeOther make_other) {
  std::vector<std::string> choices = {answer};
  while (choices.size() < num_choices) {
    std::string other = make_other();
    if (std::find(choices.begin(), choices.end(), other) == choices.end())
      choices.push_back(std::move(other));
  }
  std::swap(choices[0], choices[random.below(num_choices)]);
  return choices;
}

inline std::vector<std::string> draw_choices(RandomStream& random, const std::string& answer,
                                             size_t num_choices,
                                             const std::vector<std::string>& pool) {
  return draw_choices(random, answer, num_choices, [&] { return random.pick(pool); });
}

inline std::string sorted_identity(std::vector<std::string> parts) {
  std::sort(parts.begin(), parts.end());
  std::string identity;
  for (const std::string& part : parts) identity += part + "|";
  return identity;
}

}  // namespace flanmoe::data::builtin
