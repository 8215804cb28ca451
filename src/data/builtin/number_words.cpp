#include "data/builtin/number_words.h"

#include <map>

#include "base/error.h"

namespace flanmoe::data::builtin {
namespace {

using Words = std::vector<std::string>;

const std::string& word_at(const Words& words, int64_t index) {
  return words.at(static_cast<size_t>(index));
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

std::string english(int64_t n) {
  static const Words units = {"zero",    "one",     "two",       "three",    "four",
                              "five",    "six",     "seven",     "eight",    "nine",
                              "ten",     "eleven",  "twelve",    "thirteen", "fourteen",
                              "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
  static const Words tens = {"",      "",      "twenty",  "thirty", "forty",
                             "fifty", "sixty", "seventy", "eighty", "ninety"};
  if (n < 20) return word_at(units, n);
  if (n < 100) return word_at(tens, n / 10) + (n % 10 > 0 ? "-" + english(n % 10) : "");
  if (n < 1000)
    return english(n / 100) + " hundred" + (n % 100 > 0 ? " and " + english(n % 100) : "");
  const int64_t rest = n % 1000;
  return english(n / 1000) + " thousand" +
         (rest == 0 ? "" : (rest < 100 ? " and " : " ") + english(rest));
}

std::string german(int64_t n, bool is_last = true) {
  static const Words units = {"null",     "ein",      "zwei",     "drei",     "vier",
                              "fünf",     "sechs",    "sieben",   "acht",     "neun",
                              "zehn",     "elf",      "zwölf",    "dreizehn", "vierzehn",
                              "fünfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn"};
  static const Words tens = {"",        "",        "zwanzig", "dreißig", "vierzig",
                             "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"};
  if (n == 1) return is_last ? "eins" : "ein";
  if (n < 20) return word_at(units, n);
  if (n < 100) return (n % 10 > 0 ? german(n % 10, false) + "und" : "") + word_at(tens, n / 10);
  if (n < 1000)
    return german(n / 100, false) + "hundert" + (n % 100 > 0 ? german(n % 100, is_last) : "");
  return german(n / 1000, false) + "tausend" + (n % 1000 > 0 ? german(n % 1000) : "");
}

std::string french(int64_t n, bool is_last = true) {
  static const Words units = {"zéro",   "un",    "deux",     "trois",    "quatre",
                              "cinq",   "six",   "sept",     "huit",     "neuf",
                              "dix",    "onze",  "douze",    "treize",   "quatorze",
                              "quinze", "seize", "dix-sept", "dix-huit", "dix-neuf"};
  static const Words tens = {"",          "",         "vingt",    "trente",       "quarante",
                             "cinquante", "soixante", "soixante", "quatre-vingt", "quatre-vingt"};
  if (n < 20) return word_at(units, n);
  if (n == 80) return is_last ? "quatre-vingts" : "quatre-vingt";
  if (n < 100) {
    const bool counts_on = n / 10 == 7 || n / 10 == 9;
    const int64_t rest = n % 10 + (counts_on ? 10 : 0);
    const std::string& ten = word_at(tens, n / 10);
    if (rest == 0) return ten;
    if (n % 10 == 1 && n < 80) return ten + " et " + french(rest);
    return ten + "-" + french(rest);
  }
  if (n < 1000) {
    const std::string hundreds = n < 200 ? "cent" : french(n / 100) + " cent";
    if (n % 100 == 0) return hundreds + (n >= 200 && is_last ? "s" : "");
    return hundreds + " " + french(n % 100, is_last);
  }
  const std::string thousands = n < 2000 ? "mille" : french(n / 1000, false) + " mille";
  return thousands + (n % 1000 > 0 ? " " + french(n % 1000) : "");
}

std::string spanish(int64_t n, bool is_last = true) {
  static const Words units = {
      "cero",         "uno",         "dos",        "tres",        "cuatro",     "cinco",
      "seis",         "siete",       "ocho",       "nueve",       "diez",       "once",
      "doce",         "trece",       "catorce",    "quince",      "dieciséis",  "diecisiete",
      "dieciocho",    "diecinueve",  "veinte",     "veintiuno",   "veintidós",  "veintitrés",
      "veinticuatro", "veinticinco", "veintiséis", "veintisiete", "veintiocho", "veintinueve"};
  static const Words tens = {"",          "",        "",        "treinta", "cuarenta",
                             "cincuenta", "sesenta", "setenta", "ochenta", "noventa"};
  static const Words hundreds = {
      "",           "ciento",      "doscientos",  "trescientos", "cuatrocientos",
      "quinientos", "seiscientos", "setecientos", "ochocientos", "novecientos"};
  if (n == 1 && !is_last) return "un";
  if (n == 21 && !is_last) return "veintiún";
  if (n < 30) return word_at(units, n);
  if (n < 100) return word_at(tens, n / 10) + (n % 10 > 0 ? " y " + spanish(n % 10, is_last) : "");
  if (n == 100) return "cien";
  if (n < 1000)
    return word_at(hundreds, n / 100) + (n % 100 > 0 ? " " + spanish(n % 100, is_last) : "");
  const std::string thousands = n < 2000 ? "mil" : spanish(n / 1000, false) + " mil";
  return thousands + (n % 1000 > 0 ? " " + spanish(n % 1000) : "");
}

std::string italian(int64_t n) {
  static const Words units = {"zero",     "uno",    "due",         "tre",      "quattro",
                              "cinque",   "sei",    "sette",       "otto",     "nove",
                              "dieci",    "undici", "dodici",      "tredici",  "quattordici",
                              "quindici", "sedici", "diciassette", "diciotto", "diciannove"};
  static const Words tens = {"",          "",         "venti",    "trenta",  "quaranta",
                             "cinquanta", "sessanta", "settanta", "ottanta", "novanta"};
  if (n < 20) return word_at(units, n);
  std::string text;
  if (n < 100) {
    text = word_at(tens, n / 10);
    if (n % 10 == 1 || n % 10 == 8) text.pop_back();
    if (n % 10 > 0) text += word_at(units, n % 10);
  } else if (n < 1000) {
    text = (n < 200 ? "" : italian(n / 100)) + "cento";
    if (n % 100 == 8 || n % 100 / 10 == 8) text.pop_back();
    if (n % 100 > 0) text += italian(n % 100);
  } else {
    // An accent marks only the end of the whole word.
    std::string thousands = n < 2000 ? "mille" : italian(n / 1000) + "mila";
    if (const size_t accent = thousands.find("tré"); accent != std::string::npos)
      thousands.replace(accent, 4, "tre");
    text = thousands + (n % 1000 > 0 ? italian(n % 1000) : "");
  }
  if (ends_with(text, "tre")) text.replace(text.size() - 1, 1, "é");
  return text;
}

std::string dutch(int64_t n) {
  static const Words units = {"nul",      "een",     "twee",      "drie",     "vier",
                              "vijf",     "zes",     "zeven",     "acht",     "negen",
                              "tien",     "elf",     "twaalf",    "dertien",  "veertien",
                              "vijftien", "zestien", "zeventien", "achttien", "negentien"};
  static const Words tens = {"",        "",       "twintig",  "dertig",  "veertig",
                             "vijftig", "zestig", "zeventig", "tachtig", "negentig"};
  if (n < 20) return word_at(units, n);
  if (n < 100) {
    const int64_t unit = n % 10;
    if (unit == 0) return word_at(tens, n / 10);
    return word_at(units, unit) + (unit == 2 || unit == 3 ? "ën" : "en") + word_at(tens, n / 10);
  }
  if (n < 1000)
    return (n < 200 ? "" : dutch(n / 100)) + "honderd" + (n % 100 > 0 ? dutch(n % 100) : "");
  return (n < 2000 ? "" : dutch(n / 1000)) + "duizend" +
         (n % 1000 > 0 ? " " + dutch(n % 1000) : "");
}

const std::map<std::string, LanguageWords>& all_words() {
  static const std::map<std::string, LanguageWords> words = {
      {"en",
       {{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"},
        {"January", "February", "March", "April", "May", "June", "July", "August", "September",
         "October", "November", "December"},
        {"red", "blue", "green", "black", "white", "yellow", "brown", "grey"},
        {{"big", "small"},
         {"old", "young"},
         {"hot", "cold"},
         {"long", "short"},
         {"full", "empty"},
         {"rich", "poor"},
         {"hard", "soft"},
         {"good", "bad"},
         {"clean", "dirty"},
         {"fast", "slow"},
         {"dark", "bright"},
         {"heavy", "light"}},
        {"a colour", "a day of the week", "a month", "a number"}}},
      {"de",
       {{"Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"},
        {"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September",
         "Oktober", "November", "Dezember"},
        {"rot", "blau", "grün", "schwarz", "weiß", "gelb", "braun", "grau"},
        {{"groß", "klein"},
         {"alt", "jung"},
         {"heiß", "kalt"},
         {"lang", "kurz"},
         {"voll", "leer"},
         {"reich", "arm"},
         {"hart", "weich"},
         {"gut", "schlecht"},
         {"sauber", "schmutzig"},
         {"schnell", "langsam"},
         {"dunkel", "hell"},
         {"schwer", "leicht"}},
        {"eine Farbe", "ein Wochentag", "ein Monat", "eine Zahl"}}},
      {"fr",
       {{"lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"},
        {"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre",
         "octobre", "novembre", "décembre"},
        {"rouge", "bleu", "vert", "noir", "blanc", "jaune", "brun", "gris"},
        {{"grand", "petit"},
         {"vieux", "jeune"},
         {"chaud", "froid"},
         {"long", "court"},
         {"plein", "vide"},
         {"riche", "pauvre"},
         {"dur", "mou"},
         {"bon", "mauvais"},
         {"propre", "sale"},
         {"rapide", "lent"},
         {"sombre", "clair"},
         {"lourd", "léger"}},
        {"une couleur", "un jour de la semaine", "un mois", "un nombre"}}},
      {"es",
       {{"lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"},
        {"enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre",
         "octubre", "noviembre", "diciembre"},
        {"rojo", "azul", "verde", "negro", "blanco", "amarillo", "marrón", "gris"},
        {{"grande", "pequeño"},
         {"viejo", "joven"},
         {"caliente", "frío"},
         {"largo", "corto"},
         {"lleno", "vacío"},
         {"rico", "pobre"},
         {"duro", "blando"},
         {"bueno", "malo"},
         {"limpio", "sucio"},
         {"rápido", "lento"},
         {"oscuro", "claro"},
         {"pesado", "ligero"}},
        {"un color", "un día de la semana", "un mes", "un número"}}},
      {"it",
       {{"lunedì", "martedì", "mercoledì", "giovedì", "venerdì", "sabato", "domenica"},
        {"gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno", "luglio", "agosto",
         "settembre", "ottobre", "novembre", "dicembre"},
        {"rosso", "blu", "verde", "nero", "bianco", "giallo", "marrone", "grigio"},
        {{"grande", "piccolo"},
         {"vecchio", "giovane"},
         {"caldo", "freddo"},
         {"lungo", "corto"},
         {"pieno", "vuoto"},
         {"ricco", "povero"},
         {"duro", "morbido"},
         {"buono", "cattivo"},
         {"pulito", "sporco"},
         {"veloce", "lento"},
         {"scuro", "chiaro"},
         {"pesante", "leggero"}},
        {"un colore", "un giorno della settimana", "un mese", "un numero"}}},
      {"nl",
       {{"maandag", "dinsdag", "woensdag", "donderdag", "vrijdag", "zaterdag", "zondag"},
        {"januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus", "september",
         "oktober", "november", "december"},
        {"rood", "blauw", "groen", "zwart", "wit", "geel", "bruin", "grijs"},
        {{"groot", "klein"},
         {"oud", "jong"},
         {"heet", "koud"},
         {"lang", "kort"},
         {"vol", "leeg"},
         {"rijk", "arm"},
         {"hard", "zacht"},
         {"goed", "slecht"},
         {"schoon", "vuil"},
         {"snel", "langzaam"},
         {"donker", "helder"},
         {"zwaar", "licht"}},
        {"een kleur", "een dag van de week", "een maand", "een getal"}}},
  };
  return words;
}

}  // namespace

const std::vector<std::string>& real_languages() {
  static const std::vector<std::string> languages = {"en", "de", "fr", "es", "it", "nl"};
  return languages;
}

std::string number_words(int64_t number, const std::string& language) {
  FLANMOE_ASSERT(number >= 0 && number < 1000000);
  if (language == "en") return english(number);
  if (language == "de") return german(number);
  if (language == "fr") return french(number);
  if (language == "es") return spanish(number);
  if (language == "it") return italian(number);
  if (language == "nl") return dutch(number);
  fail(ErrorCode::Internal, "[data.builtin] no number words of '{}'", language);
}

const LanguageWords& language_words(const std::string& language) {
  const auto found = all_words().find(language);
  FLANMOE_ASSERT(found != all_words().end());
  return found->second;
}

}  // namespace flanmoe::data::builtin
