// Cluster `counting`: putting in order and counting.
#include <fmt/format.h>

#include "data/builtin/draw.h"
#include "data/builtin/lexicon.h"
#include "data/builtin/task.h"

namespace flanmoe::data::builtin {
namespace {

std::vector<std::string> as_texts(const std::vector<int64_t>& numbers) {
  std::vector<std::string> texts;
  for (const int64_t number : numbers) texts.push_back(std::to_string(number));
  return texts;
}

std::vector<int64_t> draw_numbers(RandomStream& random, int64_t level) {
  const auto count = static_cast<size_t>(at_level<int64_t>(level, {3, 4, 5, 6, 8}));
  const int64_t largest = at_level<int64_t>(level, {20, 60, 200, 1000, 9999});
  std::vector<int64_t> numbers;
  while (numbers.size() < count) {
    const int64_t number = random.between(1, largest);
    if (std::find(numbers.begin(), numbers.end(), number) == numbers.end())
      numbers.push_back(number);
  }
  return numbers;
}

Draft draw_sort_words(RandomStream& random, const Request& request) {
  std::vector<std::string> words =
      draw_some(random, all_group_words(), static_cast<size_t>(request.level + 1));
  const std::string given = join_words(words);
  std::sort(words.begin(), words.end());
  return {{{"words", given}}, {}, join_words(words), join_words(words)};
}

Draft draw_sort_numbers(RandomStream& random, const Request& request) {
  std::vector<int64_t> numbers = draw_numbers(random, request.level);
  const std::string given = join_words(as_texts(numbers));
  std::sort(numbers.begin(), numbers.end());
  const std::string sorted = join_words(as_texts(numbers));
  return {{{"numbers", given}}, {}, sorted, sorted};
}

Draft draw_largest_number(RandomStream& random, const Request& request) {
  std::vector<int64_t> numbers = draw_numbers(random, request.level);
  const std::string given = join_words(as_texts(numbers));
  std::string work;
  int64_t largest = numbers[0];
  for (size_t i = 1; i < numbers.size(); ++i) {
    if (numbers[i] > largest)
      work += fmt::format("{} is more than {}. ", numbers[i], largest);
    else
      work += fmt::format("{} is less than {}. ", numbers[i], largest);
    largest = std::max(largest, numbers[i]);
  }
  return {{{"numbers", given}},
          {},
          std::to_string(largest),
          sorted_identity(as_texts(numbers)),
          work + fmt::format("The answer is {}.", largest)};
}

// The count is drawn first, so that every count is as frequent.
Draft draw_count_kind(RandomStream& random, const Request& request) {
  const auto count = static_cast<size_t>(request.answer_class);
  const auto length = static_cast<size_t>(request.level + 4);
  const size_t asked = random.below(word_groups().size());
  const WordGroup& group = word_groups()[asked];
  std::vector<std::string> words = draw_some(random, group.words, count);
  const std::vector<std::string> members = words;
  while (words.size() < length) {
    const size_t other =
        (asked + 1 + random.below(word_groups().size() - 1)) % word_groups().size();
    const std::string& word = random.pick(word_groups()[other].words);
    if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
  }
  const std::string identity = group.name + sorted_identity(words);
  random.shuffle(words);
  const std::string work =
      count == 0 ? fmt::format("None of them is one of the {}. The answer is 0.", group.name)
                 : fmt::format("Of the {} there {} {}. The answer is {}.", group.name,
                               count == 1 ? "is" : "are", join_words(members, "and"), count);
  return {{{"words", join_words(words)}, {"group", group.name}},
          {},
          std::to_string(count),
          identity,
          work};
}

Draft draw_count_letter(RandomStream& random, const Request& request) {
  const auto count = static_cast<int64_t>(request.answer_class) + 1;
  const int64_t length = request.level + 4;
  static const std::string letters = "abcdefghiklmnoprstuvw";
  const char letter = letters[random.below(letters.size())];
  std::vector<bool> is_letter(static_cast<size_t>(length), false);
  for (int64_t i = 0; i < count; ++i) is_letter[static_cast<size_t>(i)] = true;
  for (size_t i = is_letter.size(); i > 1; --i) {
    const size_t other = random.below(i);
    const bool kept = is_letter[i - 1];
    is_letter[i - 1] = is_letter[other];
    is_letter[other] = kept;
  }
  std::string text, work;
  int64_t seen = 0;
  for (size_t i = 0; i < is_letter.size(); ++i) {
    char c = letter;
    while (!is_letter[i] && c == letter) c = letters[random.below(letters.size())];
    text += (i > 0 ? " " : "") + std::string(1, c);
    if (is_letter[i]) work += fmt::format("{}{} at {}", ++seen > 1 ? ", " : "", letter, i + 1);
  }
  return {{{"text", text}, {"letter", std::string(1, letter)}},
          {},
          std::to_string(count),
          text + ":" + letter,
          fmt::format("{}. The answer is {}.", work, count)};
}

Draft draw_most_frequent(RandomStream& random, const Request& request) {
  const size_t most = request.level >= 3 ? 3 : 2;
  std::vector<std::string> kinds = draw_some(random, objects(), 3 + (request.level >= 4 ? 1 : 0));
  std::vector<std::string> words;
  for (size_t i = 0; i < kinds.size(); ++i)
    for (size_t k = 0; k < (i == 0 ? most : i == 1 ? most - 1 : 1); ++k) words.push_back(kinds[i]);
  random.shuffle(words);
  const std::string answer = kinds[0];
  kinds.resize(3);
  std::swap(kinds[0], kinds[request.answer_class]);
  return {{{"words", join_words(words)}},
          kinds,
          answer,
          answer + ": " + sorted_identity(words),
          fmt::format("The word {} comes {} times, no other word as often. The answer is {}.",
                      answer, most, answer)};
}

}  // namespace

std::vector<TaskDefinition> make_counting_tasks() {
  const std::string cluster = "counting";
  return {
      {.name = "sort_words",
       .cluster = cluster,
       .description = "words put into the order of the alphabet",
       .draw = draw_sort_words,
       .templates = {"Sort these words by the alphabet: {words}",
                     "Put {words} into alphabetical order.",
                     "{words}. Arrange them as in a dictionary.",
                     "From A to Z, the list {words} becomes"},
       .unseen_templates = {"Order alphabetically: {words}",
                            "{words}. Write these as a dictionary would list them."},
       .level_changes = "number of words"},
      {.name = "sort_numbers",
       .cluster = cluster,
       .description = "numbers put into ascending order",
       .draw = draw_sort_numbers,
       .templates = {"Sort these numbers, the smallest first: {numbers}",
                     "Put {numbers} into ascending order.", "{numbers}. Line them up by size.",
                     "Beginning with the least, {numbers} are"},
       .unseen_templates = {"Order the numbers {numbers} from small to large.",
                            "{numbers}. Rank these, lowest first."},
       .level_changes = "number and size of the numbers"},
      {.name = "largest_number",
       .cluster = cluster,
       .description = "the largest number of a list",
       .draw = draw_largest_number,
       .templates = {"Which number is the largest: {numbers}?", "Find the maximum of {numbers}.",
                     "{numbers}. Copy only the biggest of them.",
                     "Nothing in this list is above which entry? {numbers}"},
       .unseen_templates = {"Name the greatest number among {numbers}.",
                            "{numbers}. Which of these is highest?"},
       .level_changes = "number and size of the numbers"},
      {.name = "count_kind",
       .cluster = cluster,
       .description = "how many words of a list are of a kind",
       .num_classes = 5,
       .draw = draw_count_kind,
       .templates = {"How many of these are {group}? {words}", "Count the {group}: {words}",
                     "In the list {words} the number of {group} is",
                     "{words}. Tell, as a figure, how often something out of the {group} occurs."},
       .unseen_templates = {"{words}. How many {group} do you find?",
                            "Give the number of {group} here: {words}"},
       .level_changes = "length of the list"},
      {.name = "count_letter",
       .cluster = cluster,
       .description = "how often a letter comes in a row of letters",
       .num_classes = 4,
       .draw = draw_count_letter,
       .templates = {"How often does the letter {letter} come in {text} ?",
                     "Count every {letter}: {text}",
                     "Row of letters: {text} . Occurrences of {letter} in it:",
                     "Look at {text} and write how many times you see {letter} ."},
       .unseen_templates = {"How many times is {letter} in the row {text} ?",
                            "{text} . Tell how often {letter} occurs."},
       .level_changes = "length of the row"},
      {.name = "most_frequent",
       .cluster = cluster,
       .description = "the word that comes most often",
       .num_choices = 3,
       .num_classes = 3,
       .draw = draw_most_frequent,
       .templates = {"Which word comes most often: {words}?",
                     "Find the most frequent entry in {words}.",
                     "{words}. One of them is repeated more than the rest, namely",
                     "Say what occurs the greatest number of times here: {words}"},
       .unseen_templates = {"{words}. Which word is there most often?",
                            "Name the word with the most copies in {words}."},
       .level_changes = "number of different words and of their copies"},
  };
}

}  // namespace flanmoe::data::builtin
