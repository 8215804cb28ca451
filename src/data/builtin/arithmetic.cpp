// Cluster `arithmetic`: sums and word problems, each with its working.
#include <fmt/format.h>

#include "data/builtin/draw.h"
#include "data/builtin/lexicon.h"
#include "data/builtin/task.h"

namespace flanmoe::data::builtin {
namespace {

int64_t largest_number(int64_t level) {
  return at_level<int64_t>(level, {20, 60, 400, 3000, 40000});
}

std::string answer_sentence(int64_t answer) {
  return fmt::format("The answer is {}.", answer);
}

// "47 + 38" by the places of the second: "47 + 30 = 77. 77 + 8 = 85. "
std::string work_by_places(int64_t value, char sign, int64_t other) {
  std::string text;
  int64_t place = 1;
  while (place * 10 <= other) place *= 10;
  for (; place >= 1; place /= 10) {
    const int64_t part = other / place % 10 * place;
    if (part == 0 && (other > 0 || place > 1)) continue;
    const int64_t next = sign == '+' ? value + part : value - part;
    text += fmt::format("{} {} {} = {}. ", value, sign, part, next);
    value = next;
  }
  return text;
}

Draft draw_add_numbers(RandomStream& random, const Request& request) {
  const int64_t count = request.level >= 4 ? 3 : 2;
  int64_t sum = 0;
  std::string terms, work;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t term = random.between(1, largest_number(request.level));
    if (i > 0) work += work_by_places(sum, '+', term);
    terms += (i > 0 ? " + " : "") + std::to_string(term);
    sum += term;
  }
  return {{{"terms", terms}}, {}, std::to_string(sum), terms, work + answer_sentence(sum)};
}

Draft draw_subtract_numbers(RandomStream& random, const Request& request) {
  const int64_t first = random.between(5, largest_number(request.level) + 5);
  const int64_t second = random.between(1, first - 1);
  return {{{"first", std::to_string(first)}, {"second", std::to_string(second)}},
          {},
          std::to_string(first - second),
          fmt::format("{} {}", first, second),
          work_by_places(first, '-', second) + answer_sentence(first - second)};
}

Draft draw_multiply_numbers(RandomStream& random, const Request& request) {
  const int64_t first = random.between(2, at_level<int64_t>(request.level, {9, 30, 99, 400, 2500}));
  const int64_t second = random.between(2, request.level >= 4 ? 25 : 9);
  std::string work;
  int64_t sum = 0;
  for (int64_t place = 1, rest = first; rest > 0; rest /= 10, place *= 10) {
    const int64_t part = rest % 10 * place;
    if (part == 0) continue;
    work += fmt::format("{} * {} = {}. ", part, second, part * second);
    if (sum > 0) work += fmt::format("{} + {} = {}. ", sum, part * second, sum + part * second);
    sum += part * second;
  }
  return {{{"first", std::to_string(first)}, {"second", std::to_string(second)}},
          {},
          std::to_string(sum),
          fmt::format("{} {}", std::min(first, second), std::max(first, second)),
          work + answer_sentence(sum)};
}

Draft draw_missing_number(RandomStream& random, const Request& request) {
  const int64_t known = random.between(1, largest_number(request.level));
  const int64_t missing = random.between(1, largest_number(request.level));
  const bool is_first = random.below(2) == 0;
  const std::string equation = is_first ? fmt::format("? + {} = {}", known, known + missing)
                                        : fmt::format("{} + ? = {}", known, known + missing);
  return {{{"equation", equation}},
          {},
          std::to_string(missing),
          fmt::format("{} {}", known, missing),
          work_by_places(known + missing, '-', known) + answer_sentence(missing)};
}

Draft draw_larger_sum(RandomStream& random, const Request& request) {
  const int64_t largest = largest_number(request.level);
  int64_t terms[4];
  do
    for (int64_t& term : terms) term = random.between(1, largest);
  while (terms[0] + terms[1] == terms[2] + terms[3]);
  if ((terms[0] + terms[1] > terms[2] + terms[3]) != (request.answer_class == 0)) {
    std::swap(terms[0], terms[2]);
    std::swap(terms[1], terms[3]);
  }
  const std::string first = fmt::format("{} + {}", terms[0], terms[1]);
  const std::string second = fmt::format("{} + {}", terms[2], terms[3]);
  const int64_t sums[2] = {terms[0] + terms[1], terms[2] + terms[3]};
  const std::string& answer = request.answer_class == 0 ? first : second;
  return {
      {{"first", first}, {"second", second}},
      {first, second},
      answer,
      sorted_identity({first, second}),
      fmt::format("{} = {} and {} = {}. {} is more than {}. The answer is {}.", first, sums[0],
                  second, sums[1], std::max(sums[0], sums[1]), std::min(sums[0], sums[1]), answer)};
}

const std::vector<std::string>& counted_things() {
  static const std::vector<std::string> words = {"apples", "coins",  "marbles", "stamps",
                                                 "books",  "eggs",   "shells",  "cards",
                                                 "beans",  "buttons"};
  return words;
}

Draft draw_gains_and_losses(RandomStream& random, const Request& request) {
  static const std::vector<std::string> gains = {"finds", "buys", "is given"};
  static const std::vector<std::string> losses = {"loses", "sells", "gives away"};
  const std::string& name = random.pick(person_names());
  const std::string& things = random.pick(counted_things());
  const int64_t largest = at_level<int64_t>(request.level, {10, 20, 60, 200, 900});
  const int64_t num_steps = at_level<int64_t>(request.level, {1, 2, 2, 3, 4});
  int64_t value = random.between(2, largest);
  std::string story = fmt::format("{} has {} {}.", name, value, things), work;
  for (int64_t i = 0; i < num_steps; ++i) {
    const bool is_gain = value < 3 || random.below(2) == 0;
    const int64_t change = random.between(1, is_gain ? largest : value - 1);
    const std::string& verb = random.pick(is_gain ? gains : losses);
    story += fmt::format(" Then {} {} {}.", name, verb, change);
    const int64_t next = is_gain ? value + change : value - change;
    work += fmt::format("{} {} {} = {}. ", value, is_gain ? '+' : '-', change, next);
    value = next;
  }
  return {{{"story", story}, {"name", name}, {"things", things}},
          {},
          std::to_string(value),
          story,
          work + answer_sentence(value)};
}

Draft draw_shopping(RandomStream& random, const Request& request) {
  static const std::vector<std::pair<std::string, std::string>> goods = {
      {"pen", "pens"},      {"cup", "cups"},       {"cake", "cakes"},
      {"rope", "ropes"},    {"hat", "hats"},       {"lamp", "lamps"},
      {"brush", "brushes"}, {"ticket", "tickets"}, {"basket", "baskets"}};
  const int64_t largest = at_level<int64_t>(request.level, {5, 9, 15, 40, 90});
  const size_t num_kinds = static_cast<size_t>(at_level<int64_t>(request.level, {1, 1, 2, 2, 3}));
  const std::string& name = random.pick(person_names());
  const auto kinds = draw_some(random, goods, num_kinds);
  std::string prices, bought, work;
  int64_t sum = 0;
  for (size_t i = 0; i < num_kinds; ++i) {
    const int64_t price = random.between(2, largest), count = random.between(2, largest);
    prices += fmt::format("One {} costs {} coins. ", kinds[i].first, price);
    bought += fmt::format("{}{} {}",
                          i == 0               ? ""
                          : i + 1 == num_kinds ? " and "
                                               : ", ",
                          count, kinds[i].second);
    work += fmt::format("{} * {} = {}. ", count, price, count * price);
    if (i > 0) work += fmt::format("{} + {} = {}. ", sum, count * price, sum + count * price);
    sum += count * price;
  }
  const std::string story = fmt::format("{}{} buys {}.", prices, name, bought);
  return {{{"story", story}, {"name", name}},
          {},
          std::to_string(sum),
          story,
          work + answer_sentence(sum)};
}

Draft draw_sharing(RandomStream& random, const Request& request) {
  static const std::vector<std::string> groups = {"children", "friends", "neighbours", "sailors"};
  const int64_t sharers = random.between(2, at_level<int64_t>(request.level, {5, 9, 12, 20, 40}));
  const int64_t each = random.between(2, at_level<int64_t>(request.level, {5, 12, 20, 60, 150}));
  const int64_t eaten = request.level >= 3 ? random.between(1, 9) : 0;
  const std::string& things = random.pick(counted_things());
  const std::string& group = random.pick(groups);
  const int64_t total = sharers * each;
  std::string story = fmt::format("There are {} {}.", total + eaten, things), work;
  if (eaten > 0) {
    story += fmt::format(" Of these {} are lost.", eaten);
    work = fmt::format("{} - {} = {}. ", total + eaten, eaten, total);
  }
  story += fmt::format(" {} {} share them equally.", sharers, group);
  work += fmt::format("{} / {} = {}. ", total, sharers, each);
  return {{{"story", story}, {"things", things}},
          {},
          std::to_string(each),
          story,
          work + answer_sentence(each)};
}

}  // namespace

std::vector<TaskDefinition> make_arithmetic_tasks() {
  const std::string cluster = "arithmetic";
  return {
      {.name = "add_numbers",
       .cluster = cluster,
       .description = "the sum of two or three numbers",
       .draw = draw_add_numbers,
       .templates = {"What is {terms}?", "Add up these numbers: {terms}",
                     "{terms} =", "Work out the total and write only the result. {terms}"},
       .unseen_templates = {"How much do {terms} make together?", "Calculate {terms} for me."},
       .level_changes = "size and number of the terms"},
      {.name = "subtract_numbers",
       .cluster = cluster,
       .description = "one number less another",
       .draw = draw_subtract_numbers,
       .templates = {"What is {first} - {second}?", "Take {second} away from {first}.",
                     "{first} less {second} leaves", "Compute the difference: {first} - {second}"},
       .unseen_templates = {"How much is left when {second} goes off {first}?",
                            "Subtract {second} from {first}."},
       .level_changes = "size of the numbers"},
      {.name = "multiply_numbers",
       .cluster = cluster,
       .description = "the product of two numbers",
       .draw = draw_multiply_numbers,
       .templates = {"What is {first} * {second}?", "Multiply {first} by {second}.",
                     "{first} times {second} equals", "Find the product of {first} and {second}."},
       .unseen_templates = {"How many are {first} rows of {second}?",
                            "Calculate {first} times {second}."},
       .level_changes = "size of the numbers"},
      {.name = "missing_number",
       .cluster = cluster,
       .description = "the number that an equation lacks",
       .draw = draw_missing_number,
       .templates = {"Which number stands for the question mark? {equation}", "Solve {equation}",
                     "Fill the gap so that the equation holds: {equation}",
                     "{equation} What is missing here?"},
       .unseen_templates = {"Find the unknown number in {equation}",
                            "{equation} Put a number in place of the mark."},
       .level_changes = "size of the numbers"},
      {.name = "larger_sum",
       .cluster = cluster,
       .description = "the larger of two sums",
       .num_choices = 2,
       .num_classes = 2,
       .draw = draw_larger_sum,
       .templates = {"Which is more, {first} or {second}?",
                     "Two sums: {first} and {second}. Copy the larger one.",
                     "Of {first} and {second}, the greater result has",
                     "Compare both and choose the bigger: {first}, {second}"},
       .unseen_templates = {"Is {first} or {second} the larger sum?",
                            "Pick the sum with the greater value: {first} or {second}"},
       .level_changes = "size of the numbers"},
      {.name = "gains_and_losses",
       .cluster = cluster,
       .description = "how many somebody has after some come and some go",
       .draw = draw_gains_and_losses,
       .templates = {"{story} How many {things} does {name} have now?",
                     "Solve this problem: {story} Count the {things} of {name} at the end.",
                     "{story} At last the number of {things} that belong to {name} is",
                     "Read about {name} and tell how many {things} are left. {story}"},
       .unseen_templates = {"How many {things} has {name} in the end? {story}",
                            "{story} So {name} ends with how many {things}?"},
       .level_changes = "number of steps, size of the numbers"},
      {.name = "shopping",
       .cluster = cluster,
       .description = "what a purchase costs",
       .draw = draw_shopping,
       .templates = {"{story} How many coins does {name} pay?",
                     "What is the price of all that {name} takes home? {story}",
                     "{story} The whole purchase of {name} costs",
                     "Prices and a shopping list. {story} Write the sum that {name} has to pay."},
       .unseen_templates = {"{story} What must {name} pay in coins?",
                            "How much money does {name} need? {story}"},
       .level_changes = "number of goods, size of the numbers"},
      {.name = "sharing",
       .cluster = cluster,
       .description = "how many each gets when things are shared equally",
       .draw = draw_sharing,
       .templates = {"{story} How many {things} does each one get?",
                     "Divide fairly. {story} The share of one, in {things}:",
                     "{story} Everybody goes home with how many {things}?",
                     "Find the number of {things} for a single person. {story}"},
       .unseen_templates = {"How many {things} are there for everyone? {story}",
                            "{story} Tell the number of {things} that one of them receives."},
       .level_changes = "size of the numbers; from 3 on some are lost first"},
  };
}

}  // namespace flanmoe::data::builtin
