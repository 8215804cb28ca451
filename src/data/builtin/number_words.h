// Words of six real languages (English, German, French, Spanish, Italian, Dutch) for the parallel
// tasks: numbers, days, months, colours and opposites.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace flanmoe::data::builtin {

// ISO 639-1: en, de, fr, es, it, nl.
const std::vector<std::string>& real_languages();

// 0 <= number < 1,000,000 as it is written out when counting: British "and" without commas;
// German, Italian and Dutch in one word (Dutch with a blank after "duizend"); French with the
// hyphens of before 1990; "veintiún mil" in Spanish; "tré" at the end of an Italian compound.
std::string number_words(int64_t number, const std::string& language);

struct LanguageWords {
  std::vector<std::string> weekdays;  // from Monday
  std::vector<std::string> months;
  std::vector<std::string> colours;
  std::vector<std::pair<std::string, std::string>> opposites;
  // With its article: a colour, a day of the week, a month, a number.
  std::vector<std::string> kinds;
};

// Lists of all languages run in parallel: entry i means the same in each.
const LanguageWords& language_words(const std::string& language);

}  // namespace flanmoe::data::builtin
