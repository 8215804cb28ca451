// Cluster `measures`: days, dates, clock times and units, each with its working.
#include <fmt/format.h>

#include "data/builtin/draw.h"
#include "data/builtin/lexicon.h"
#include "data/builtin/number_words.h"
#include "data/builtin/task.h"

namespace flanmoe::data::builtin {
namespace {

const std::vector<std::string>& weekdays() {
  return language_words("en").weekdays;
}
const std::vector<std::string>& months() {
  return language_words("en").months;
}

// Of a year that is no leap year.
constexpr std::array<int64_t, 12> kDaysOfMonth = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

struct Date {
  size_t month;
  int64_t day;
  std::string text() const { return fmt::format("{} {}", months()[month], day); }
};

// The working walks from month to month.
Date add_days(Date date, int64_t count, std::string& work) {
  for (;;) {
    const int64_t left = kDaysOfMonth[date.month] - date.day;
    if (count <= left) {
      work += fmt::format("{} and {} days is {} {}. ", date.text(), count, months()[date.month],
                          date.day + count);
      return {date.month, date.day + count};
    }
    const Date next = {(date.month + 1) % 12, 1};
    work += fmt::format("From {} to {} it is {} days, {} are left. ", date.text(), next.text(),
                        left + 1, count - left - 1);
    count -= left + 1;
    date = next;
    if (count == 0) return date;
  }
}

Date draw_date(RandomStream& random) {
  const size_t month = random.below(12);
  return {month, random.between(1, kDaysOfMonth[month])};
}

Draft draw_weekday_later(RandomStream& random, const Request& request) {
  const int64_t count =
      random.between(1, at_level<int64_t>(request.level, {20, 60, 200, 700, 3000}));
  const size_t end = request.answer_class;
  const size_t start = (end + 7 - static_cast<size_t>(count % 7)) % 7;
  const std::string& answer = weekdays()[end];
  std::string work;
  if (count >= 7)
    work = fmt::format("{} days are {} weeks and {} days. ", count, count / 7, count % 7);
  work += fmt::format("{} days after {} it is {}. The answer is {}.", count % 7, weekdays()[start],
                      answer, answer);
  return {{{"day", weekdays()[start]}, {"count", std::to_string(count)}},
          {},
          answer,
          fmt::format("{} {}", start, count),
          work};
}

Draft draw_date_later(RandomStream& random, const Request& request) {
  const Date start = draw_date(random);
  const int64_t count = random.between(1, at_level<int64_t>(request.level, {7, 20, 45, 120, 300}));
  std::string work;
  const std::string answer = add_days(start, count, work).text();
  return {{{"date", start.text()}, {"count", std::to_string(count)}},
          {},
          answer,
          fmt::format("{} {}", start.text(), count),
          work + fmt::format("The answer is {}.", answer)};
}

Draft draw_days_between(RandomStream& random, const Request& request) {
  const Date start = draw_date(random);
  const int64_t count = random.between(1, at_level<int64_t>(request.level, {7, 20, 45, 120, 300}));
  std::string unused, work;
  const Date end = add_days(start, count, unused);
  int64_t sum = 0;
  for (size_t month = start.month;; month = (month + 1) % 12) {
    const int64_t first = month == start.month && sum == 0 ? start.day : 0;
    const int64_t last =
        month == end.month && sum + end.day - first == count ? end.day : kDaysOfMonth[month];
    work += fmt::format("{}: {} - {} = {}. ", months()[month], last, first, last - first);
    if (sum > 0) work += fmt::format("{} + {} = {}. ", sum, last - first, sum + last - first);
    sum += last - first;
    if (sum == count) break;
  }
  return {{{"start", start.text()}, {"end", end.text()}},
          {},
          std::to_string(count),
          start.text() + ", " + end.text(),
          work + fmt::format("The answer is {}.", count)};
}

std::string clock_text(int64_t minutes) {
  return fmt::format("{:02}:{:02}", minutes / 60 % 24, minutes % 60);
}

Draft draw_clock_later(RandomStream& random, const Request& request) {
  const int64_t step = at_level<int64_t>(request.level, {30, 15, 5, 1, 1});
  const int64_t start = random.between(0, 24 * 60 / step - 1) * step;
  const int64_t count =
      random.between(1, at_level<int64_t>(request.level, {120, 180, 300, 600, 1400}) / step) * step;
  const int64_t end = start + count;
  const std::string answer = clock_text(end);
  std::string work;
  if (count >= 60)
    work =
        fmt::format("{} minutes are {} h and {} min. {} and {} h is {}. ", count, count / 60,
                    count % 60, clock_text(start), count / 60, clock_text(start + count / 60 * 60));
  if (count % 60 > 0)
    work += fmt::format("{} and {} min is {}. ", clock_text(start + count / 60 * 60), count % 60,
                        answer);
  work += fmt::format("The answer is {}.", answer);
  return {{{"time", clock_text(start)}, {"count", std::to_string(count)}},
          {},
          answer,
          fmt::format("{} {}", start, count),
          work};
}

struct Unit {
  std::string large, small;  // plural
  int64_t factor;
};

const std::vector<Unit>& length_and_weight_units() {
  static const std::vector<Unit> units = {
      {"metres", "centimetres", 100},     {"kilometres", "metres", 1000},
      {"centimetres", "millimetres", 10}, {"kilograms", "grams", 1000},
      {"tons", "kilograms", 1000},        {"litres", "millilitres", 1000}};
  return units;
}
const std::vector<Unit>& time_units() {
  static const std::vector<Unit> units = {{"hours", "minutes", 60},
                                          {"minutes", "seconds", 60},
                                          {"days", "hours", 24},
                                          {"weeks", "days", 7},
                                          {"years", "months", 12}};
  return units;
}

Draft draw_conversion(RandomStream& random, const Request& request,
                      const std::vector<Unit>& units) {
  const Unit& unit = random.pick(units);
  const int64_t large = random.between(1, at_level<int64_t>(request.level, {20, 50, 90, 300, 900}));
  const int64_t rest = request.level >= 3 ? random.between(1, unit.factor - 1) : 0;
  const bool is_up = rest == 0 && random.below(2) == 0;
  const int64_t small = large * unit.factor + rest;
  std::string amount = fmt::format("{} {}", is_up ? small : large, is_up ? unit.small : unit.large);
  if (rest > 0) amount += fmt::format(" and {} {}", rest, unit.small);
  const int64_t answer = is_up ? large : small;
  std::string work = is_up ? fmt::format("{} / {} = {}. ", small, unit.factor, large)
                           : fmt::format("{} * {} = {}. ", large, unit.factor, large * unit.factor);
  if (rest > 0) work += fmt::format("{} + {} = {}. ", large * unit.factor, rest, small);
  return {
      {{"amount", amount}, {"unit", is_up ? unit.large : unit.small}},
      {},
      std::to_string(answer),
      fmt::format("{} {} {}", unit.large, large, rest),
      fmt::format("1 {} is {} {}. {}The answer is {}.", unit.large.substr(0, unit.large.size() - 1),
                  unit.factor, unit.small, work, answer)};
}

Draft draw_convert_units(RandomStream& random, const Request& request) {
  return draw_conversion(random, request, length_and_weight_units());
}
Draft draw_convert_time(RandomStream& random, const Request& request) {
  return draw_conversion(random, request, time_units());
}

}  // namespace

std::vector<TaskDefinition> make_measures_tasks() {
  const std::string cluster = "measures";
  return {
      {.name = "weekday_later",
       .cluster = cluster,
       .description = "the day of the week some days later",
       .num_classes = 7,
       .draw = draw_weekday_later,
       .templates = {"Today is {day}. What day of the week will it be in {count} days?",
                     "{day} plus {count} days:", "Name the weekday {count} days after a {day}.",
                     "A ship leaves on a {day} and sails for {count} days. It arrives on a"},
       .unseen_templates = {"If it is {day} now, which day comes {count} days later?",
                            "Count {count} days on from {day}."},
       .level_changes = "number of days"},
      {.name = "date_later",
       .cluster = cluster,
       .description = "the date some days later",
       .draw = draw_date_later,
       .templates = {"What is the date {count} days after {date}?", "{date} plus {count} days:",
                     "A letter of {date} takes {count} days. When does it come?",
                     "Move the calendar from {date} forward by {count} and write the new date."},
       .unseen_templates = {"Today is {date}. Which date is it in {count} days?",
                            "Add {count} days to {date}."},
       .level_changes = "number of days"},
      {.name = "days_between",
       .cluster = cluster,
       .description = "the number of days from one date to another",
       .draw = draw_days_between,
       .templates =
           {"How many days are there from {start} to {end}?",
            "Count the days: {start} until {end}.", "{start} - {end}, length in days:",
            "The journey began on {start} and ended on {end}. It lasted how long, in days?"},
       .unseen_templates = {"How long is it, in days, from {start} to {end}?",
                            "Give the distance in days of {end} from {start}."},
       .level_changes = "number of days"},
      {.name = "clock_later",
       .cluster = cluster,
       .description = "the clock time some minutes later",
       .draw = draw_clock_later,
       .templates = {"It is {time}. What time will it be in {count} minutes?",
                     "{time} plus {count} min:",
                     "A train leaves at {time} and drives {count} minutes. When does it arrive?",
                     "Set a clock that shows {time} forward by {count} minutes."},
       .unseen_templates = {"What does the clock show {count} minutes after {time}?",
                            "Add {count} minutes to {time}."},
       .level_changes = "number of minutes, coarse or fine times"},
      {.name = "convert_units",
       .cluster = cluster,
       .description = "a length, weight or volume in another unit",
       .draw = draw_convert_units,
       .templates = {"How many {unit} are {amount}?", "Convert {amount} to {unit}.",
                     "{amount} = ? {unit}", "Write the measure {amount} as a number of {unit}."},
       .unseen_templates = {"Express {amount} in {unit}.", "{amount} are how many {unit}?"},
       .level_changes = "size of the numbers; from 3 on two units together"},
      {.name = "convert_time",
       .cluster = cluster,
       .description = "a span of time in another unit",
       .draw = draw_convert_time,
       .templates = {"How many {unit} last {amount}?", "Turn {amount} into {unit}.",
                     "{amount}, counted in {unit}:",
                     "Somebody waited {amount}. That makes what number of {unit}?"},
       .unseen_templates = {"Say {amount} in {unit}.", "{amount} have how many {unit}?"},
       .level_changes = "size of the numbers; from 3 on two units together"},
  };
}

}  // namespace flanmoe::data::builtin
