#include "data/builtin/number_words.h"

#include <gtest/gtest.h>

#include <set>

#include "data/builtin/solve.h"

namespace flanmoe::data::builtin {
namespace {

// Written by hand: where each of the languages has its difficulties.
TEST(NumberWords, AreThoseOfATable) {
  const std::vector<std::pair<int64_t, std::vector<std::string>>> table = {
      {0, {"zero", "null", "zéro", "cero", "zero", "nul"}},
      {1, {"one", "eins", "un", "uno", "uno", "een"}},
      {16, {"sixteen", "sechzehn", "seize", "dieciséis", "sedici", "zestien"}},
      {17, {"seventeen", "siebzehn", "dix-sept", "diecisiete", "diciassette", "zeventien"}},
      {21, {"twenty-one", "einundzwanzig", "vingt et un", "veintiuno", "ventuno", "eenentwintig"}},
      {22,
       {"twenty-two", "zweiundzwanzig", "vingt-deux", "veintidós", "ventidue", "tweeëntwintig"}},
      {28,
       {"twenty-eight", "achtundzwanzig", "vingt-huit", "veintiocho", "ventotto", "achtentwintig"}},
      {33,
       {"thirty-three", "dreiunddreißig", "trente-trois", "treinta y tres", "trentatré",
        "drieëndertig"}},
      {71,
       {"seventy-one", "einundsiebzig", "soixante et onze", "setenta y uno", "settantuno",
        "eenenzeventig"}},
      {76,
       {"seventy-six", "sechsundsiebzig", "soixante-seize", "setenta y seis", "settantasei",
        "zesenzeventig"}},
      {80, {"eighty", "achtzig", "quatre-vingts", "ochenta", "ottanta", "tachtig"}},
      {81,
       {"eighty-one", "einundachtzig", "quatre-vingt-un", "ochenta y uno", "ottantuno",
        "eenentachtig"}},
      {99,
       {"ninety-nine", "neunundneunzig", "quatre-vingt-dix-neuf", "noventa y nueve", "novantanove",
        "negenennegentig"}},
      {100, {"one hundred", "einhundert", "cent", "cien", "cento", "honderd"}},
      {101,
       {"one hundred and one", "einhunderteins", "cent un", "ciento uno", "centouno",
        "honderdeen"}},
      {180,
       {"one hundred and eighty", "einhundertachtzig", "cent quatre-vingts", "ciento ochenta",
        "centottanta", "honderdtachtig"}},
      {200, {"two hundred", "zweihundert", "deux cents", "doscientos", "duecento", "tweehonderd"}},
      {501,
       {"five hundred and one", "fünfhunderteins", "cinq cent un", "quinientos uno",
        "cinquecentouno", "vijfhonderdeen"}},
      {777,
       {"seven hundred and seventy-seven", "siebenhundertsiebenundsiebzig",
        "sept cent soixante-dix-sept", "setecientos setenta y siete", "settecentosettantasette",
        "zevenhonderdzevenenzeventig"}},
      {1000, {"one thousand", "eintausend", "mille", "mil", "mille", "duizend"}},
      {1003,
       {"one thousand and three", "eintausenddrei", "mille trois", "mil tres", "milletré",
        "duizend drie"}},
      {21000,
       {"twenty-one thousand", "einundzwanzigtausend", "vingt et un mille", "veintiún mil",
        "ventunomila", "eenentwintigduizend"}},
      {31001,
       {"thirty-one thousand and one", "einunddreißigtausendeins", "trente et un mille un",
        "treinta y un mil uno", "trentunomilauno", "eenendertigduizend een"}},
      {43200,
       {"forty-three thousand two hundred", "dreiundvierzigtausendzweihundert",
        "quarante-trois mille deux cents", "cuarenta y tres mil doscientos",
        "quarantatremiladuecento", "drieënveertigduizend tweehonderd"}},
      {80080,
       {"eighty thousand and eighty", "achtzigtausendachtzig", "quatre-vingt mille quatre-vingts",
        "ochenta mil ochenta", "ottantamilaottanta", "tachtigduizend tachtig"}},
      {200000,
       {"two hundred thousand", "zweihunderttausend", "deux cent mille", "doscientos mil",
        "duecentomila", "tweehonderdduizend"}}};
  for (const auto& [number, words] : table)
    for (size_t i = 0; i < words.size(); ++i)
      EXPECT_EQ(number_words(number, real_languages()[i]), words[i]);
}

// Reading cuts the words into pieces and adds; it knows no rule of writing.
TEST(NumberWords, AreReadAsTheSameNumber) {
  for (const std::string& language : real_languages()) {
    std::set<std::string> distinct;
    int64_t count = 0;
    for (int64_t number = 0; number < 1000000; number += number < 11000 ? 1 : 97, ++count) {
      const std::string words = number_words(number, language);
      ASSERT_EQ(parse_number_words(words, language), number) << language << ": " << words;
      distinct.insert(words);
    }
    EXPECT_EQ(static_cast<int64_t>(distinct.size()), count);
  }
}

TEST(NumberWords, TheReaderRefusesWhatIsNoNumber) {
  for (const char* text : {"", "forty-sevens", "and", "rouge", "vierzig"})
    EXPECT_EQ(parse_number_words(text, "en"), -1) << text;
  EXPECT_EQ(parse_number_words("siebenundvierzig", "de"), 47);
  EXPECT_NE(parse_number_words("siebenundvierzig", "de"), 74);
}

TEST(LanguageWords, RunInParallel) {
  const LanguageWords& english = language_words("en");
  for (const std::string& language : real_languages()) {
    const LanguageWords& words = language_words(language);
    EXPECT_EQ(words.weekdays.size(), 7u);
    EXPECT_EQ(words.months.size(), 12u);
    EXPECT_EQ(words.colours.size(), english.colours.size());
    EXPECT_EQ(words.opposites.size(), english.opposites.size());
    EXPECT_EQ(words.kinds.size(), 4u);
    // No word is in two lists, and none twice in one.
    std::set<std::string> distinct;
    size_t count = 0;
    for (const auto* list : {&words.weekdays, &words.months, &words.colours})
      for (const std::string& word : *list) {
        distinct.insert(word);
        ++count;
      }
    for (const auto& [word, opposite] : words.opposites) {
      distinct.insert(word);
      distinct.insert(opposite);
      count += 2;
    }
    EXPECT_EQ(distinct.size(), count) << language;
  }
}

}  // namespace
}  // namespace flanmoe::data::builtin
