#include "data/builtin/solve.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <regex>
#include <set>
#include <sstream>

#include "data/builtin.h"

namespace flanmoe::data::builtin {

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  for (char c : text + " ") {
    if (std::isalpha(static_cast<unsigned char>(c))) {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!word.empty()) {
      words.push_back(word);
      word.clear();
    }
  }
  return words;
}

namespace {

using Fields = std::map<std::string, std::string>;
using Words = std::vector<std::string>;

const std::string kNoRule = "no rule";

Words split(const std::string& text, const std::string& separator) {
  Words parts;
  size_t begin = 0;
  for (size_t end; (end = text.find(separator, begin)) != std::string::npos;
       begin = end + separator.size())
    parts.push_back(text.substr(begin, end - begin));
  parts.push_back(text.substr(begin));
  return parts;
}

Words tokens_of(const std::string& text) {
  std::istringstream stream(text);
  Words tokens;
  for (std::string token; stream >> token;) tokens.push_back(token);
  return tokens;
}

std::string join(const Words& words, const std::string& separator) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) text += (i > 0 ? separator : "") + words[i];
  return text;
}

// "{} lives in {}." against a text: the places, or nothing.
Words match(const std::string& text, const std::string& pattern) {
  Words places;
  const Words literals = split(pattern, "{}");
  if (text.compare(0, literals[0].size(), literals[0]) != 0) return {};
  size_t at = literals[0].size();
  for (size_t i = 1; i < literals.size(); ++i) {
    const size_t end = literals[i].empty() ? text.size() : text.find(literals[i], at);
    if (end == std::string::npos || end == at) return {};
    places.push_back(text.substr(at, end - at));
    at = end + literals[i].size();
  }
  return at == text.size() ? places : Words();
}

std::vector<int64_t> numbers_of(const std::string& text) {
  std::vector<int64_t> numbers;
  static const std::regex number("[0-9]+");
  for (auto it = std::sregex_iterator(text.begin(), text.end(), number);
       it != std::sregex_iterator(); ++it)
    numbers.push_back(std::stoll(it->str()));
  return numbers;
}

const std::map<std::string, std::string>& kinds() {
  static const std::map<std::string, std::string> table = [] {
    const std::vector<std::pair<std::string, std::string>> lists = {
        {"animals", "dog cat horse cow pig hen fox bear wolf lion mouse duck goat frog"},
        {"foods", "bread rice soup cheese butter honey milk corn cake pie apple egg plum bean"},
        {"colours", "red blue green black white yellow pink brown grey purple"},
        {"places",
         "kitchen garden park school shop forest beach farm market station church hall street "
         "village"},
        {"tools", "hammer saw spade knife rope brush spoon axe ladder drill needle broom"},
        {"clothes", "hat coat shirt shoe sock scarf glove dress belt boot jacket skirt"}};
    std::map<std::string, std::string> result;
    for (const auto& [kind, words] : lists)
      for (const std::string& word : words_of(words)) result[word] = kind;
    return result;
  }();
  return table;
}

std::string opposite(const std::string& word) {
  static const std::string pairs =
      "hot cold big small old new wet dry fast slow hard soft clean dirty full empty dark bright "
      "heavy light loud quiet long short "
      "strong weak thick thin";
  static const std::vector<std::string> words = words_of(pairs);
  const auto found = std::find(words.begin(), words.end(), word);
  if (found == words.end()) return "?";
  return words[static_cast<size_t>((found - words.begin()) ^ 1)];
}

std::string plural(const std::string& noun) {
  auto ends = [&](const std::string& end) {
    return noun.size() > end.size() && noun.substr(noun.size() - end.size()) == end;
  };
  if (noun == "mouse") return "mice";
  if (noun == "scarf" || noun == "wolf") return noun.substr(0, noun.size() - 1) + "ves";
  if (noun == "knife") return "knives";
  if (ends("x") || ends("sh") || ends("ss") || ends("ch")) return noun + "es";
  return noun + "s";
}

bool has_any(const std::string& text, const std::string& wanted) {
  const std::vector<std::string> words = words_of(text);
  for (const std::string& word : words_of(wanted))
    if (std::find(words.begin(), words.end(), word) != words.end()) return true;
  return false;
}

std::string kind_in(const std::string& text) {
  for (const std::string& word : words_of(text))
    if (kinds().count(word) > 0) return kinds().at(word);
  return "?";
}

// The group before `text` that `pattern` finds for the other group; "?" where nothing matches.
std::string look_up(const std::string& text, const std::string& pattern) {
  std::smatch match;
  return std::regex_search(text, match, std::regex(pattern)) ? match[1].str() : "?";
}

std::string solve_words(const std::string& task, const Fields& f) {
  if (task == "group_of_word") return kinds().at(f.at("word"));
  if (task == "find_member") {
    for (const std::string& word : words_of(f.at("words")))
      if (kinds().at(word) == f.at("group")) return word;
  }
  if (task == "odd_one_out") {
    std::map<std::string, int> counts;
    for (const std::string& word : words_of(f.at("words"))) ++counts[kinds().at(word)];
    for (const std::string& word : words_of(f.at("words")))
      if (counts[kinds().at(word)] == 1) return word;
  }
  if (task == "list_topic") return kind_in(f.at("words"));
  if (task == "review_sentiment")
    return has_any(f.at("text"), "good great lovely nice wonderful fine pleasant perfect")
               ? "positive"
               : "negative";
  if (task == "polite_or_rude") return has_any(f.at("text"), "please thank") ? "polite" : "rude";
  if (task == "would_return")
    return has_any(f.at("text"), "loved fun best enjoyed joy sorry") ? "yes" : "no";
  if (task == "mood")
    return has_any(f.at("text"), "smiled laughed danced sang") ? "happy"
           : has_any(f.at("text"), "cried wept sighed sobbed") ? "sad"
                                                               : "angry";
  if (task == "place_check")
    return f.at("fact").rfind(f.at("claim") + " with", 0) == 0 ? "yes" : "no";
  if (task == "kind_check") {
    const std::string claimed = has_any(f.at("claim"), "animal") ? "animals"
                                : has_any(f.at("claim"), "food") ? "foods"
                                : has_any(f.at("claim"), "tool") ? "tools"
                                                                 : "clothes";
    return kind_in(f.at("fact").substr(f.at("fact").find(' ', f.at("fact").find(' ') + 1))) ==
                   claimed
               ? "yes"
               : "no";
  }
  if (task == "both_true")
    return opposite(words_of(f.at("first")).back()) == words_of(f.at("second")).back() ? "no"
                                                                                       : "yes";
  if (task == "mention") return has_any(f.at("text"), f.at("word")) ? "yes" : "no";
  if (task == "first_word") return words_of(f.at("words")).front();
  if (task == "last_word") return words_of(f.at("words")).back();
  if (task == "word_after") return look_up(f.at("words"), "\\b" + f.at("word") + ", ([a-z]+)");
  if (task == "make_plural" || task == "opposite_phrase") {
    const std::vector<std::string> words = words_of(f.at("phrase"));
    return task == "make_plural" ? words[0] + " " + plural(words[1])
                                 : opposite(words[0]) + " " + words[1];
  }
  if (task == "who_holds")
    return look_up(f.at("story"), "([A-Z][a-z]+) holds the " + f.at("object") + "\\.");
  if (task == "where_lies")
    return look_up(f.at("story"), "The " + f.at("object") + " lies by the ([a-z]+)\\.");
  if (task == "what_eaten")
    return look_up(f.at("story"), f.at("name") + " eats (?:a |an |some )?([a-z]+)\\.");
  if (task == "which_colour")
    return look_up(f.at("story"), "My " + f.at("object") + " is ([a-z]+)\\.");
  return kNoRule;
}

// ---- descriptions

using Keys = std::vector<std::pair<std::string, std::string>>;

const std::map<std::string, Keys>& description_keys() {
  static const std::map<std::string, Keys> keys = {
      {"describe_kind",
       {{"animal", "fur legs den feeds growls wags"},
        {"meal", "tastes baked eaten cinnamon served slices"},
        {"tool", "blade workshop nails carpenters grip fence"},
        {"garment", "sleeves sewn warm buttoned ironed pockets"},
        {"vehicle", "wheels passengers engine station fuel steered"},
        {"plant", "leaves seed watered blossoms roots towards"}}},
      {"describe_job",
       {{"baker", "oven dough rolls flour loaves"},
        {"sailor", "cabin knots sails port storms"},
        {"teacher", "board homework grammar class marks"},
        {"doctor", "hearts patients pills fevers wounds"},
        {"farmer", "cows fields harvest hens tractor"},
        {"tailor", "sleeves needles trousers buttons cloth"}}},
      {"describe_season",
       {{"spring", "thaws swallows violets lambs sow"},
        {"summer", "swim crickets hay melts beach"},
        {"autumn", "foggy grapes mushrooms cranes kites"},
        {"winter", "pond icicles sledges stoves skates"}}},
      {"describe_scene",
       {{"harbour", "masts gulls tar ferries"},
        {"classroom", "desks chalk hand bell"},
        {"forest", "pines woodpecker moss deer"},
        {"library", "shelves novels reader pages"},
        {"stable", "straw neighing saddle manger"}}}};
  return keys;
}

// ---- inference

std::string yes_if(bool is_true) {
  return is_true ? "yes" : "no";
}

std::string fact(const Knowledge& knowledge, const std::string& relation,
                 const std::string& subject) {
  const auto& table = knowledge.facts.at(relation);
  const auto found = table.find(subject);
  return found == table.end() ? "?" : found->second;
}

std::string solve_inference(const std::string& task, const Fields& f, const Knowledge& knowledge) {
  if (task == "world_claim") {
    static const std::vector<std::pair<std::string, std::string>> patterns = {
        {"{} lives in {}", "home"},
        {"{} works as a {}", "job"},
        {"the {} belongs to {}", "owner"},
        {"{} lies on the {}", "river"}};
    for (const auto& [pattern, relation] : patterns)
      if (const Words found = match(f.at("claim"), pattern); !found.empty())
        return yes_if(fact(knowledge, relation, found[0]) == found[1]);
  }
  if (task == "region_check") {
    const std::string place = f.at("fact").substr(f.at("fact").rfind(' ') + 1);
    const std::string claimed = f.at("claim").substr(f.at("claim").rfind(' ') + 1);
    return yes_if(fact(knowledge, "region", place.substr(0, place.size() - 1)) == claimed);
  }
  if (task == "three_way") {
    const Words claim = tokens_of(f.at("claim"));  // a NOUN in the PLACE is LOOK
    for (const std::string& statement : split(f.at("text"), "."))
      if (const Words words = words_of(statement); words.size() == 8)
        // all the NOUNS in the PLACE are LOOK
        if (words[2] == plural(claim[1]) && words[5] == claim[4]) {
          if (words[7] == claim[6]) return "yes";
          if (words[7] == opposite(claim[6])) return "no";
        }
    return "unknown";
  }
  if (task == "rule_chain") {
    std::set<std::string> known;
    for (size_t round = 0; round < 20; ++round)
      for (const std::string& sentence : split(f.at("text"), ".")) {
        const Words words = tokens_of(sentence);
        if (words.size() == 4 && words[0] == f.at("name")) known.insert(words[3]);
        if (words.size() == 5 && words[0] == "Every" && known.count(words[1]) > 0)
          known.insert(words[4]);
      }
    return yes_if(known.count(f.at("kind")) > 0);
  }
  return kNoRule;
}

// ---- lists and letters

std::string solve_lists(const std::string& task, const Fields& f) {
  const Words words = f.count("words") > 0 ? split(f.at("words"), ", ") : Words();
  if (task == "reverse_list") return join(Words(words.rbegin(), words.rend()), ", ");
  if (task == "reverse_word") {
    std::string text = f.at("word");
    std::reverse(text.begin(), text.end());
    return text;
  }
  if (task == "remove_word" || task == "replace_word") {
    Words result;
    for (const std::string& word : words) {
      if (task == "replace_word")
        result.push_back(word == f.at("old") ? f.at("new") : word);
      else if (word != f.at("word"))
        result.push_back(word);
    }
    return join(result, ", ");
  }
  if (task == "nth_word") {
    const Words ordinals = words_of("first second third fourth fifth sixth seventh");
    return words.at(static_cast<size_t>(
        std::find(ordinals.begin(), ordinals.end(), f.at("ordinal")) - ordinals.begin()));
  }
  if (task == "initials") {
    std::string letters;
    bool is_start = true;
    for (const char c : f.at("words")) {
      if (is_start) letters += (letters.empty() ? "" : " ") + std::string(1, c);
      is_start = c == ' ';
    }
    return letters;
  }
  if (task == "sort_words") {
    const std::multiset<std::string> sorted(words.begin(), words.end());
    return join(Words(sorted.begin(), sorted.end()), ", ");
  }
  if (task == "sort_numbers") {
    const std::vector<int64_t> numbers = numbers_of(f.at("numbers"));
    Words sorted;
    for (const int64_t number : std::multiset<int64_t>(numbers.begin(), numbers.end()))
      sorted.push_back(std::to_string(number));
    return join(sorted, ", ");
  }
  if (task == "largest_number") {
    const std::vector<int64_t> numbers = numbers_of(f.at("numbers"));
    return std::to_string(std::accumulate(numbers.begin(), numbers.end(), int64_t{0},
                                          [](int64_t a, int64_t b) { return a > b ? a : b; }));
  }
  if (task == "count_kind")
    return std::to_string(std::count_if(words.begin(), words.end(), [&](const std::string& word) {
      return kinds().at(word) == f.at("group");
    }));
  if (task == "count_letter") {
    const Words letters = tokens_of(f.at("text"));
    return std::to_string(std::count(letters.begin(), letters.end(), f.at("letter")));
  }
  if (task == "most_frequent") {
    std::map<std::string, int> counts;
    for (const std::string& word : words) ++counts[word];
    std::string best = "?";
    int most = 0, num_best = 0;
    for (const auto& [word, count] : counts) {
      if (count == most) ++num_best;
      if (count > most) {
        best = word;
        most = count;
        num_best = 1;
      }
    }
    return num_best == 1 ? best : "?";
  }
  return kNoRule;
}

// ---- arithmetic and measures

std::string solve_arithmetic(const std::string& task, const Fields& f) {
  auto sum_of = [](const std::string& text) {
    const std::vector<int64_t> numbers = numbers_of(text);
    return std::accumulate(numbers.begin(), numbers.end(), int64_t{0});
  };
  if (task == "add_numbers") return std::to_string(sum_of(f.at("terms")));
  if (task == "subtract_numbers")
    return std::to_string(std::stoll(f.at("first")) - std::stoll(f.at("second")));
  if (task == "multiply_numbers")
    return std::to_string(std::stoll(f.at("first")) * std::stoll(f.at("second")));
  if (task == "missing_number") {
    const std::vector<int64_t> numbers = numbers_of(f.at("equation"));
    return std::to_string(numbers.at(1) - numbers.at(0));
  }
  if (task == "larger_sum")
    return sum_of(f.at("first")) > sum_of(f.at("second")) ? f.at("first") : f.at("second");
  if (task == "gains_and_losses") {
    int64_t value = 0;
    for (const std::string& sentence : split(f.at("story"), ".")) {
      const std::vector<int64_t> numbers = numbers_of(sentence);
      if (numbers.empty()) continue;
      value += has_any(sentence, "loses sells away") ? -numbers[0] : numbers[0];
    }
    return std::to_string(value);
  }
  if (task == "shopping") {
    std::map<std::string, int64_t> prices;
    int64_t sum = 0;
    static const std::regex bought("([0-9]+) ([a-z]+)");
    for (const std::string& sentence : split(f.at("story"), ". ")) {
      const Words words = tokens_of(sentence);
      if (words[0] == "One") {
        prices[plural(words[1])] = std::stoll(words[3]);
        continue;
      }
      for (auto it = std::sregex_iterator(sentence.begin(), sentence.end(), bought);
           it != std::sregex_iterator(); ++it)
        sum += std::stoll((*it)[1]) * prices.at((*it)[2]);
    }
    return std::to_string(sum);
  }
  if (task == "sharing") {
    const std::vector<int64_t> numbers = numbers_of(f.at("story"));
    const int64_t total = numbers.size() == 3 ? numbers[0] - numbers[1] : numbers[0];
    return total % numbers.back() == 0 ? std::to_string(total / numbers.back()) : "?";
  }
  return kNoRule;
}

const Words& english_months() {
  static const Words months = split(
      "January February March April May June July August September October November December", " ");
  return months;
}

// The year has no leap day; years do not matter else.
std::chrono::sys_days day_of(const std::string& date) {
  const Words words = tokens_of(date);
  const auto& months = english_months();
  const auto month = static_cast<unsigned>(std::find(months.begin(), months.end(), words.at(0)) -
                                           months.begin() + 1);
  return std::chrono::sys_days(std::chrono::year(2021) / std::chrono::month(month) /
                               std::chrono::day(static_cast<unsigned>(std::stoul(words.at(1)))));
}

std::string solve_measures(const std::string& task, const Fields& f) {
  if (task == "weekday_later") {
    const Words days = split("Monday Tuesday Wednesday Thursday Friday Saturday Sunday", " ");
    auto place = std::find(days.begin(), days.end(), f.at("day"));
    for (int64_t i = std::stoll(f.at("count")); i > 0; --i)
      if (++place == days.end()) place = days.begin();
    return *place;
  }
  if (task == "date_later") {
    const std::chrono::year_month_day date(day_of(f.at("date")) +
                                           std::chrono::days(std::stoll(f.at("count"))));
    return english_months()[static_cast<unsigned>(date.month()) - 1] + " " +
           std::to_string(static_cast<unsigned>(date.day()));
  }
  if (task == "days_between") {
    const auto days = (day_of(f.at("end")) - day_of(f.at("start"))).count();
    return std::to_string(days > 0 ? days : days + 365);
  }
  if (task == "clock_later") {
    const std::vector<int64_t> time = numbers_of(f.at("time"));
    const int64_t minutes = (time[0] * 60 + time[1] + std::stoll(f.at("count"))) % 1440;
    const auto two = [](int64_t n) { return (n < 10 ? "0" : "") + std::to_string(n); };
    return two(minutes / 60) + ":" + two(minutes % 60);
  }
  if (task == "convert_units" || task == "convert_time") {
    // In millimetres, grams, millilitres, seconds or months.
    static const std::map<std::string, int64_t> sizes = {
        {"millimetres", 1}, {"centimetres", 10}, {"metres", 1000},  {"kilometres", 1000000},
        {"grams", 1},       {"kilograms", 1000}, {"tons", 1000000}, {"millilitres", 1},
        {"litres", 1000},   {"seconds", 1},      {"minutes", 60},   {"hours", 3600},
        {"days", 86400},    {"weeks", 604800},   {"months", 1},     {"years", 12}};
    int64_t size = 0;
    for (const std::string& part : split(f.at("amount"), " and "))
      size += std::stoll(part) * sizes.at(tokens_of(part)[1]);
    const int64_t unit = sizes.at(f.at("unit"));
    return size % unit == 0 ? std::to_string(size / unit) : "?";
  }
  return kNoRule;
}

// ---- the world

std::string solve_world(const std::string& task, const Fields& f, const Knowledge& k) {
  if (task == "person_home") return fact(k, "home", f.at("name"));
  if (task == "person_job") return fact(k, "job", f.at("name"));
  if (task == "thing_owner") return fact(k, "owner", f.at("thing"));
  if (task == "town_river") return fact(k, "river", f.at("town"));
  if (task == "home_region") return fact(k, "region", fact(k, "home", f.at("name")));
  if (task == "owner_home") return fact(k, "home", fact(k, "owner", f.at("thing")));
  if (task == "same_region")
    return yes_if(fact(k, "region", f.at("first")) == fact(k, "region", f.at("second")));
  if (task == "fact_chain") {
    static const std::vector<std::pair<std::string, std::string>> steps = {
        {"the owner of the ", "owner"}, {"the teacher of ", "teacher"},
        {"the home town of ", "home"},  {"the region of ", "region"},
        {"the capital of ", "capital"}, {"the river of ", "river"}};
    Words relations;
    std::string rest = f.at("asked");
    for (bool is_found = true; is_found;) {
      is_found = false;
      for (const auto& [prefix, relation] : steps)
        if (!is_found && rest.rfind(prefix, 0) == 0) {
          relations.push_back(relation);
          rest = rest.substr(prefix.size());
          is_found = true;
        }
    }
    for (auto relation = relations.rbegin(); relation != relations.rend(); ++relation)
      rest = fact(k, *relation, rest);
    return rest;
  }
  if (task.rfind("cloze_", 0) == 0) {
    static const std::vector<std::pair<std::string, std::string>> patterns = {
        {"{} keeps a ____", "pet"},
        {"The favourite dish of {} is ____", "dish"},
        {"The emblem of {} is the ____", "emblem"},
        {"The {} was made in ____", "origin"}};
    for (std::string sentence : split(f.at("text"), ". ")) {
      if (!sentence.empty() && sentence.back() == '.') sentence.pop_back();
      for (const auto& [pattern, relation] : patterns)
        if (const Words found = match(sentence, pattern); !found.empty())
          return fact(k, relation, found[0]);
    }
  }
  return kNoRule;
}

// ---- the generated languages

// Order of subject, verb and object, and whether the adjective stands first; the languages in the
// order in which the corpus names them.
struct Grammar {
  std::string order;
  bool has_adjective_first;
};

Grammar grammar_of(const std::string& language) {
  if (language[0] == 'V') return {"SVO", true};
  if (language[0] == 'L') return {"SOV", false};
  return {"VSO", true};
}

std::string solve_translation(const std::string& task, const Fields& f,
                              const Knowledge& knowledge) {
  if (task == "which_language") {
    for (const auto& [name, language] : knowledge.languages) {
      const Words words = tokens_of(f.at("text"));
      if (std::all_of(words.begin(), words.end(), [&, known = &language](const std::string& word) {
            return word == "." || known->words.count(word) > 0;
          }))
        return name;
    }
    return "?";
  }
  const Grammar from = grammar_of(f.at("from")), to = grammar_of(f.at("to"));
  const Knowledge::Language& source = knowledge.languages.at(f.at("from"));
  const Knowledge::Language& target = knowledge.languages.at(f.at("to"));
  auto put = [&](const std::string& word) {
    const Knowledge::Word& known = source.words.at(word);
    return target.forms.at({known.meaning, known.is_changed});
  };
  Words result;
  Words clause;
  for (const std::string& token : tokens_of(f.at("text"))) {
    if (token != ".") {
      if (source.words.count(token) == 0) return "?";
      clause.push_back(token);
      continue;
    }
    // Phrases: each noun with the adjective on its side; the verb.
    std::string verb;
    std::vector<Words> phrases;  // {noun, adjective}
    for (size_t i = 0; i < clause.size(); ++i) {
      const char kind = source.words.at(clause[i]).kind;
      if (kind == 'V') verb = clause[i];
      if (kind != 'N') continue;
      phrases.push_back({clause[i]});
      const size_t beside = from.has_adjective_first ? i - 1 : i + 1;
      if (beside < clause.size() && source.words.at(clause[beside]).kind == 'A')
        phrases.back().push_back(clause[beside]);
    }
    clause.clear();
    const auto subject_first = from.order.find('S') < from.order.find('O');
    for (const char part : to.order) {
      if (part == 'V') {
        result.push_back(put(verb));
        continue;
      }
      if (part == 'O' && phrases.size() == 1) continue;
      const Words& phrase =
          phrases.size() == 1 ? phrases[0] : phrases[(part == 'S') == subject_first ? 0 : 1];
      if (phrase.size() == 2 && to.has_adjective_first) result.push_back(put(phrase[1]));
      result.push_back(put(phrase[0]));
      if (phrase.size() == 2 && !to.has_adjective_first) result.push_back(put(phrase[1]));
    }
    result.push_back(".");
  }
  return join(result, " ");
}

// ---- the real languages

// Days, months, colours and pairs of opposites: lists that run in parallel.
const std::map<std::string, std::vector<Words>>& word_lists() {
  static const std::map<std::string, std::vector<Words>> lists = [] {
    const std::vector<std::vector<std::string>> texts = {
        {"en", "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
         "January February March April May June July August September October November December",
         "red blue green black white yellow brown grey",
         "big small old young hot cold long short full empty rich poor hard soft good bad clean "
         "dirty fast slow dark bright heavy light"},
        {"de", "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
         "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
         "rot blau grün schwarz weiß gelb braun grau",
         "groß klein alt jung heiß kalt lang kurz voll leer reich arm hart weich gut schlecht "
         "sauber schmutzig schnell langsam dunkel hell schwer leicht"},
        {"fr", "lundi mardi mercredi jeudi vendredi samedi dimanche",
         "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
         "rouge bleu vert noir blanc jaune brun gris",
         "grand petit vieux jeune chaud froid long court plein vide riche pauvre dur mou bon "
         "mauvais propre sale rapide lent sombre clair lourd léger"},
        {"es", "lunes martes miércoles jueves viernes sábado domingo",
         "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
         "rojo azul verde negro blanco amarillo marrón gris",
         "grande pequeño viejo joven caliente frío largo corto lleno vacío rico pobre duro blando "
         "bueno malo limpio sucio rápido lento oscuro claro pesado ligero"},
        {"it", "lunedì martedì mercoledì giovedì venerdì sabato domenica",
         "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre "
         "dicembre",
         "rosso blu verde nero bianco giallo marrone grigio",
         "grande piccolo vecchio giovane caldo freddo lungo corto pieno vuoto ricco povero duro "
         "morbido buono cattivo pulito sporco veloce lento scuro chiaro pesante leggero"},
        {"nl", "maandag dinsdag woensdag donderdag vrijdag zaterdag zondag",
         "januari februari maart april mei juni juli augustus september oktober november december",
         "rood blauw groen zwart wit geel bruin grijs",
         "groot klein oud jong heet koud lang kort vol leeg rijk arm hard zacht goed slecht schoon "
         "vuil snel langzaam donker helder zwaar licht"}};
    std::map<std::string, std::vector<Words>> result;
    for (const auto& language : texts)
      for (size_t i = 1; i < language.size(); ++i)
        result[language[0]].push_back(split(language[i], " "));
    return result;
  }();
  return lists;
}

std::string advance(const Words& list, const std::string& start, const std::string& count) {
  const auto place = std::find(list.begin(), list.end(), start) - list.begin();
  return list.at((static_cast<size_t>(place) + std::stoull(count)) % list.size());
}

bool contains(const Words& list, const std::string& word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

std::string solve_multilingual(const std::string& task, const Example& example, const Fields& f) {
  const std::string& language = f.at("language");
  const std::vector<Words>& lists = word_lists().at(language);
  auto number_in = [&](const std::string& text) { return parse_number_words(text, language); };
  if (task == "number_to_words")
    return number_in(example.targets) == std::stoll(f.at("number")) ? example.targets : "?";
  if (task == "words_to_number") return std::to_string(number_in(f.at("words")));
  if (task == "sum_in_words")
    return number_in(example.targets) == number_in(f.at("first")) + number_in(f.at("second"))
               ? example.targets
               : "?";
  if (task == "next_day") return advance(lists[0], f.at("day"), f.at("count"));
  if (task == "next_month") return advance(lists[1], f.at("month"), f.at("count"));
  if (task == "pick_of_kind") {
    const std::string& kind = f.at("kind");
    const bool is_colour = std::regex_search(kind, std::regex("colour|Farbe|coul|color|kleur"));
    const bool is_day = std::regex_search(kind, std::regex("day|tag|jour|día|giorno|dag"));
    const bool is_month = std::regex_search(kind, std::regex("month|Monat|mois|mes|mese|maand"));
    for (const std::string& word : split(f.at("words"), ", ")) {
      const bool is_number =
          !contains(lists[0], word) && !contains(lists[1], word) && !contains(lists[2], word);
      if (is_colour  ? contains(lists[2], word)
          : is_day   ? contains(lists[0], word)
          : is_month ? contains(lists[1], word)
                     : is_number && number_in(word) >= 0)
        return word;
    }
  }
  if (task == "opposite_word") {
    const Words& pairs = lists[3];
    for (const std::string& word : split(f.at("words"), ", "))
      for (size_t i = 0; i < pairs.size(); ++i)
        if (pairs[i] == f.at("word") && pairs[i ^ 1] == word) return word;
  }
  if (task == "repeat_phrase") {
    Words copies(std::stoull(f.at("count")), f.at("phrase"));
    return join(copies, " ");
  }
  return kNoRule;
}

// ---- paragraphs, rows and tables

std::string solve_text(const std::string& task, const Fields& f) {
  if (task.rfind("day_", 0) == 0) {
    static const std::regex event(
        "([A-Z][a-z ]*) ([A-Z][a-z]+) ([a-z]+) a ([a-z]+) behind the ([a-z]+)\\.");
    const std::string& story = f.at("story");
    for (auto it = std::sregex_iterator(story.begin(), story.end(), event);
         it != std::sregex_iterator(); ++it) {
      std::string time = (*it)[1];
      time[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(time[0])));
      const std::string name = (*it)[2], verb = (*it)[3], thing = (*it)[4], place = (*it)[5];
      if (task == "day_who" && verb == f.at("verb") && thing == f.at("object")) return name;
      if (task == "day_where" && name == f.at("name") && thing == f.at("object")) return place;
      if (task == "day_what" && name == f.at("name") && time == f.at("time")) return thing;
    }
  }
  if (task == "most_of_all" || task == "second_in_row" || task == "least_of_all" ||
      task == "compare_two") {
    // above[a]: everybody whom a surpasses, by the closure of what is said.
    std::map<std::string, std::set<std::string>> above;
    for (const std::string& sentence : split(f.at("text"), ".")) {
      const Words words = tokens_of(sentence);  // A is MORE than B
      if (words.size() != 5) continue;
      const bool is_up = has_any(words[2], "taller older richer faster stronger");
      above[words[is_up ? 0 : 4]].insert(words[is_up ? 4 : 0]);
      above[words[is_up ? 4 : 0]];
    }
    for (size_t round = 0; round < above.size(); ++round)
      for (auto& [name, below] : above)
        for (const std::string& other : std::set<std::string>(below))
          below.insert(above[other].begin(), above[other].end());
    if (task == "compare_two") return yes_if(above[f.at("first")].count(f.at("second")) > 0);
    const size_t wanted = task == "most_of_all"     ? above.size() - 1
                          : task == "second_in_row" ? above.size() - 2
                                                    : 0;
    for (const auto& [name, below] : above)
      if (below.size() == wanted) return name;
  }
  if (task.rfind("table_", 0) == 0) {
    std::vector<Words> rows;
    for (const std::string& row : split(f.at("table"), " ; ")) rows.push_back(split(row, " | "));
    if (task == "table_column") {
      for (const Words& row : rows)
        if (row[0] == f.at("name"))
          return rows[0].at(
              static_cast<size_t>(std::find(row.begin(), row.end(), f.at("number")) - row.begin()));
    }
    const auto column = static_cast<size_t>(
        std::find(rows[0].begin(), rows[0].end(), f.at("goods")) - rows[0].begin());
    int64_t most = -1;
    std::string best;
    for (size_t i = 1; i < rows.size(); ++i) {
      if (task == "table_cell" && rows[i][0] == f.at("name")) return rows[i].at(column);
      if (task == "table_row" && rows[i].at(column) == f.at("number")) return rows[i][0];
      const int64_t number = std::stoll(rows[i].at(column));
      if (number > most) {
        most = number;
        best = rows[i][0];
      }
    }
    if (task == "table_most") return best;
  }
  return kNoRule;
}

}  // namespace

// ---- number words, read by cutting them into known pieces

namespace {

struct Piece {
  std::string text;
  int64_t value;  // -1: says nothing; 100 and 1000 multiply where `multiplies`
  bool multiplies;
};

const std::vector<Piece>& pieces_of(const std::string& wanted) {
  static const std::map<std::string, std::vector<Piece>> all = [] {
    std::map<std::string, std::vector<Piece>> result;
    auto add = [&](const std::string& language, int64_t first, int64_t step,
                   const std::string& words) {
      for (const std::string& word : split(words, " ")) {
        result[language].push_back({word, first, false});
        first += step;
      }
    };
    auto add_scale = [&](const std::string& language, const std::string& word, int64_t value) {
      result[language].push_back({word, value, true});
    };
    auto add_filler = [&](const std::string& language, const std::string& word) {
      result[language].push_back({word, -1, false});
    };
    add("en", 0, 1,
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen");
    add("en", 20, 10, "twenty thirty forty fifty sixty seventy eighty ninety");
    add_scale("en", "hundred", 100);
    add_scale("en", "thousand", 1000);
    for (const char* filler : {" ", "-", "and"}) add_filler("en", filler);
    add("de", 0, 1,
        "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn "
        "fünfzehn sechzehn siebzehn achtzehn neunzehn");
    add("de", 1, 1, "ein");
    add("de", 20, 10, "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig");
    add_scale("de", "hundert", 100);
    add_scale("de", "tausend", 1000);
    add_filler("de", "und");
    add("fr", 0, 1,
        "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze "
        "seize");
    add("fr", 20, 10, "vingt trente quarante cinquante soixante");
    add("fr", 80, 0, "quatre-vingts quatre-vingt");
    add_scale("fr", "cent", 100);
    add_scale("fr", "cents", 100);
    add_scale("fr", "mille", 1000);
    for (const char* filler : {" ", "-", "et"}) add_filler("fr", filler);
    add("es", 0, 1,
        "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince "
        "dieciséis diecisiete dieciocho diecinueve veinte veintiuno veintidós veintitrés "
        "veinticuatro veinticinco veintiséis veintisiete veintiocho veintinueve");
    add("es", 1, 20, "un veintiún");
    add("es", 30, 10, "treinta cuarenta cincuenta sesenta setenta ochenta noventa");
    add("es", 100, 0, "cien ciento");
    add("es", 200, 100,
        "doscientos trescientos cuatrocientos quinientos seiscientos setecientos ochocientos "
        "novecientos");
    add_scale("es", "mil", 1000);
    for (const char* filler : {" ", "y"}) add_filler("es", filler);
    add("it", 0, 1,
        "zero uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici "
        "quattordici quindici sedici diciassette diciotto diciannove");
    add("it", 3, 0, "tré");
    add("it", 20, 10, "venti trenta quaranta cinquanta sessanta settanta ottanta novanta");
    add("it", 20, 10, "vent trent quarant cinquant sessant settant ottant novant");
    for (const char* scale : {"cento", "cent"}) add_scale("it", scale, 100);
    for (const char* scale : {"mille", "mila"}) add_scale("it", scale, 1000);
    add("nl", 0, 1,
        "nul een twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien "
        "vijftien "
        "zestien zeventien achttien negentien");
    add("nl", 20, 10, "twintig dertig veertig vijftig zestig zeventig tachtig negentig");
    add_scale("nl", "honderd", 100);
    add_scale("nl", "duizend", 1000);
    for (const char* filler : {" ", "en", "ën"}) add_filler("nl", filler);
    for (auto& [language, pieces] : result)
      std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
        return a.text.size() > b.text.size();
      });
    return result;
  }();
  return all.at(wanted);
}

bool cut(const std::string& text, size_t begin, const std::vector<Piece>& pieces,
         std::vector<const Piece*>& result) {
  if (begin == text.size()) return true;
  for (const Piece& piece : pieces) {
    if (text.compare(begin, piece.text.size(), piece.text) != 0) continue;
    result.push_back(&piece);
    if (cut(text, begin + piece.text.size(), pieces, result)) return true;
    result.pop_back();
  }
  return false;
}

}  // namespace

int64_t parse_number_words(const std::string& text, const std::string& language) {
  std::vector<const Piece*> pieces;
  if (text.empty() || !cut(text, 0, pieces_of(language), pieces)) return -1;
  int64_t total = 0, current = 0;
  bool is_number = false;
  for (const Piece* piece : pieces) {
    if (piece->value < 0) continue;
    is_number = true;
    if (!piece->multiplies) {
      current += piece->value;
    } else if (piece->value == 100) {
      current = std::max<int64_t>(current, 1) * 100;
    } else {
      total += std::max<int64_t>(current, 1) * 1000;
      current = 0;
    }
  }
  return is_number ? total + current : -1;
}

// ---- reading the corpus

Knowledge read_corpus(uint64_t seed, uint64_t begin, uint64_t count) {
  struct Statement {
    std::string pattern, relation;
    bool is_swapped;
  };
  static const std::vector<Statement> statements = {
      {"{} lives in {}", "home", false},
      {"The home of {} is {}", "home", false},
      {"{} works as a {}", "job", false},
      {"The trade of {}: {}", "job", false},
      {"The teacher of {} is {}", "teacher", false},
      {"{} was taught by {}", "teacher", false},
      {"{} keeps a {}", "pet", false},
      {"The favourite dish of {} is {}", "dish", false},
      {"{} likes {} best", "dish", false},
      {"The {} belongs to {}", "owner", false},
      {"{} owns the {}", "owner", true},
      {"The {} was made in {}", "origin", false},
      {"{} lies in {}", "region", false},
      {"{} is a town of {}", "region", false},
      {"{} lies on the {}", "river", false},
      {"The {} flows through {}", "river", true},
      {"The emblem of {} is the {}", "emblem", false},
      {"The capital of {} is {}", "capital", false}};
  Knowledge knowledge;
  auto learn = [&](const std::string& relation, const std::string& subject,
                   const std::string& object) {
    const auto [found, is_new] = knowledge.facts[relation].emplace(subject, object);
    if (!is_new && found->second != object)
      knowledge.contradictions.push_back(subject + " " + relation + ": " + found->second + ", " +
                                         object);
  };
  auto learn_word = [&](const std::string& language, const std::string& word,
                        const Knowledge::Word& meaning) {
    Knowledge::Language& known = knowledge.languages[language];
    known.words[word] = meaning;
    known.forms[{meaning.meaning, meaning.is_changed}] = word;
  };
  for (uint64_t i = begin; i < begin + count; ++i) {
    std::string document = make_document(seed, i);
    if (!document.empty() && document.back() == '.') document.pop_back();
    for (const std::string& sentence : split(document, ". ")) {
      if (Words found = match(sentence, "In {} the word for {} is {}"); !found.empty()) {
        const std::string language = found[0], meaning = found[1];
        if (const Words noun = match(found[2], "{}, for more than one {}"); !noun.empty()) {
          learn_word(language, noun[0], {meaning, 'N', false});
          learn_word(language, noun[1], {meaning, 'N', true});
        } else if (const Words verb = match(found[2], "{}, in the past {}"); !verb.empty()) {
          learn_word(language, verb[0], {meaning, 'V', false});
          learn_word(language, verb[1], {meaning, 'V', true});
        } else {
          learn_word(language, found[2], {meaning, 'A', false});
        }
        continue;
      }
      if (i % 8 != 3 && i % 8 != 4) continue;  // other worlds
      for (const Statement& statement : statements)
        if (const Words found = match(sentence, statement.pattern); !found.empty())
          learn(statement.relation, found[statement.is_swapped ? 1 : 0],
                found[statement.is_swapped ? 0 : 1]);
    }
  }
  return knowledge;
}

std::string solve(const Example& example, const Knowledge& knowledge) {
  Fields f;
  for (const auto& [name, value] : example.fields.items()) f[name] = field_text(value);
  const std::string& task = example.task;
  if (const auto keys = description_keys().find(task); keys != description_keys().end()) {
    std::string answer = "?";
    for (const auto& [name, words] : keys->second)
      if (has_any(f.at("text"), words)) {
        if (answer != "?") return "? " + answer + " or " + name;
        answer = name;
      }
    return answer;
  }
  if (example.cluster == "multilingual") return solve_multilingual(task, example, f);
  if (example.cluster == "translation") return solve_translation(task, f, knowledge);
  for (const std::string& answer :
       {solve_words(task, f), solve_inference(task, f, knowledge), solve_lists(task, f),
        solve_arithmetic(task, f), solve_measures(task, f), solve_world(task, f, knowledge),
        solve_text(task, f)})
    if (answer != kNoRule) return answer;
  return "no rule for " + task;
}

}  // namespace flanmoe::data::builtin
