#include "data/builtin/lexicon.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"

namespace flanmoe::data::builtin {

const std::vector<WordGroup>& word_groups() {
  static const std::vector<WordGroup> groups = {
      {"animals",
       "an animal",
       {"dog", "cat", "horse", "cow", "pig", "hen", "fox", "bear", "wolf", "lion", "mouse", "duck",
        "goat", "frog"}},
      {"foods",
       "food",
       {"bread", "rice", "soup", "cheese", "butter", "honey", "milk", "corn", "cake", "pie",
        "apple", "egg", "plum", "bean"}},
      {"colours",
       "a colour",
       {"red", "blue", "green", "black", "white", "yellow", "pink", "brown", "grey", "purple"}},
      {"places",
       "a place",
       {"kitchen", "garden", "park", "school", "shop", "forest", "beach", "farm", "market",
        "station", "church", "hall", "street", "village"}},
      {"tools",
       "a tool",
       {"hammer", "saw", "spade", "knife", "rope", "brush", "spoon", "axe", "ladder", "drill",
        "needle", "broom"}},
      {"clothes",
       "clothing",
       {"hat", "coat", "shirt", "shoe", "sock", "scarf", "glove", "dress", "belt", "boot", "jacket",
        "skirt"}},
  };
  return groups;
}

const WordGroup& word_group(const std::string& name) {
  for (const WordGroup& group : word_groups())
    if (group.name == name) return group;
  fail(ErrorCode::Internal, "[data.builtin] no word group '{}'", name);
}

const std::vector<std::string>& all_group_words() {
  static const std::vector<std::string> words = [] {
    std::vector<std::string> all;
    for (const WordGroup& group : word_groups())
      all.insert(all.end(), group.words.begin(), group.words.end());
    return all;
  }();
  return words;
}

const std::vector<std::string>& person_names() {
  static const std::vector<std::string> names = {
      "Anna", "Ben", "Carl", "Dora", "Emma",  "Finn", "Grace", "Hugo",  "Ivy", "Jack",
      "Kate", "Leo", "Mia",  "Nora", "Oscar", "Paul", "Ruth",  "Simon", "Tom", "Vera"};
  return names;
}

const std::vector<std::string>& objects() {
  static const std::vector<std::string> words = {"ball", "key",  "book", "box",   "cup", "lamp",
                                                 "coin", "bag",  "drum", "kite",  "map", "doll",
                                                 "bell", "ring", "flag", "letter"};
  return words;
}

const std::vector<CountNoun>& count_nouns() {
  static const std::vector<CountNoun> nouns = {
      {"dog", "dogs"},       {"cat", "cats"},       {"horse", "horses"},   {"cow", "cows"},
      {"pig", "pigs"},       {"hen", "hens"},       {"fox", "foxes"},      {"bear", "bears"},
      {"wolf", "wolves"},    {"lion", "lions"},     {"mouse", "mice"},     {"duck", "ducks"},
      {"goat", "goats"},     {"frog", "frogs"},     {"hammer", "hammers"}, {"spade", "spades"},
      {"knife", "knives"},   {"rope", "ropes"},     {"brush", "brushes"},  {"spoon", "spoons"},
      {"ladder", "ladders"}, {"needle", "needles"}, {"hat", "hats"},       {"coat", "coats"},
      {"shirt", "shirts"},   {"shoe", "shoes"},     {"sock", "socks"},     {"scarf", "scarves"},
      {"glove", "gloves"},   {"dress", "dresses"},  {"belt", "belts"},     {"boot", "boots"},
      {"ball", "balls"},     {"key", "keys"},       {"book", "books"},     {"box", "boxes"},
      {"cup", "cups"},       {"lamp", "lamps"},     {"coin", "coins"},     {"bag", "bags"},
      {"kite", "kites"},     {"map", "maps"},
  };
  return nouns;
}

const std::vector<AdjectivePair>& adjective_pairs() {
  static const std::vector<AdjectivePair> pairs = {
      {"hot", "cold"},    {"big", "small"},   {"old", "new"},     {"wet", "dry"},
      {"fast", "slow"},   {"hard", "soft"},   {"clean", "dirty"}, {"full", "empty"},
      {"dark", "bright"}, {"heavy", "light"}, {"loud", "quiet"},  {"long", "short"},
      {"strong", "weak"}, {"thick", "thin"},
  };
  return pairs;
}

const std::vector<std::string>& adjectives() {
  static const std::vector<std::string> words = [] {
    std::vector<std::string> all;
    for (const AdjectivePair& pair : adjective_pairs()) {
      all.push_back(pair.word);
      all.push_back(pair.opposite);
    }
    return all;
  }();
  return words;
}

const std::string& opposite_of(const std::string& adjective) {
  for (const AdjectivePair& pair : adjective_pairs()) {
    if (pair.word == adjective) return pair.opposite;
    if (pair.opposite == adjective) return pair.word;
  }
  fail(ErrorCode::Internal, "[data.builtin] no opposite of '{}'", adjective);
}

const std::vector<std::string>& good_words() {
  static const std::vector<std::string> words = {"good",      "great", "lovely",   "nice",
                                                 "wonderful", "fine",  "pleasant", "perfect"};
  return words;
}

const std::vector<std::string>& bad_words() {
  static const std::vector<std::string> words = {"bad",      "awful", "terrible", "nasty",
                                                 "horrible", "dull",  "rotten",   "boring"};
  return words;
}

const std::vector<std::string>& reviewed_things() {
  static const std::vector<std::string> words = {"room",  "meal",   "film",  "music",
                                                 "trip",  "show",   "hotel", "song",
                                                 "story", "dinner", "play",  "game"};
  return words;
}

const std::vector<std::string>& requests() {
  static const std::vector<std::string> phrases = {
      "open the door", "close the window", "pass the bread", "move the chair",
      "bring the key", "carry the bag",    "clean the cup",  "read the letter",
      "show the map",  "hold the rope",    "ring the bell",  "wash the shirt"};
  return phrases;
}

const std::vector<Mood>& moods() {
  static const std::vector<Mood> all = {{"happy", {"smiled", "laughed", "danced", "sang"}},
                                        {"sad", {"cried", "wept", "sighed", "sobbed"}},
                                        {"angry", {"shouted", "growled", "cursed", "stamped"}}};
  return all;
}

const std::vector<std::string>& joys() {
  static const std::vector<std::string> phrases = {"loved it there",   "had so much fun",
                                                   "had the best day", "enjoyed every minute",
                                                   "laughed with joy", "was sorry to leave"};
  return phrases;
}

const std::vector<std::string>& pains() {
  static const std::vector<std::string> phrases = {"hated it there",    "had so much trouble",
                                                   "had the worst day", "suffered every minute",
                                                   "groaned with pain", "was glad to leave"};
  return phrases;
}

const std::vector<std::string>& spots() {
  static const std::vector<std::string> words = {"table", "shelf", "bed",  "chair",
                                                 "desk",  "bench", "tree", "wall"};
  return words;
}

std::string with_article(const std::string& noun) {
  static const std::vector<std::string> uncountable = {"bread",  "rice",  "soup", "cheese",
                                                       "butter", "honey", "milk", "corn"};
  if (std::find(uncountable.begin(), uncountable.end(), noun) != uncountable.end())
    return "some " + noun;
  return (std::string("aeiou").find(noun.at(0)) != std::string::npos ? "an " : "a ") + noun;
}

std::string join_words(const std::vector<std::string>& words, const std::string& last) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += !last.empty() && i + 1 == words.size() ? " " + last + " " : ", ";
    text += words[i];
  }
  return text;
}

std::string capitalised(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

}  // namespace flanmoe::data::builtin
