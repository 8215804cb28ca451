#include "data/contamination.h"

#include <algorithm>

#include "base/error.h"
#include "base/random.h"
#include "base/utf8.h"

namespace flanmoe::data {
namespace {

uint64_t hash_word(std::string_view word) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (const char c : word) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return mix64(hash);
}

struct Character {
  uint32_t code;
  size_t size;
};

// Broken UTF-8 is taken byte by byte.
Character read_character(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const size_t size = utf8_character_bytes(text);
  if (size <= 1) return {byte(0), 1};
  uint32_t code = byte(0) & (0xFFu >> (size + 1));
  for (size_t i = 1; i < size; ++i) code = (code << 6) | (byte(i) & 0x3Fu);
  return {code, size};
}

// Scripts that are written without spaces: every character counts as a word.
bool stands_alone(uint32_t code) {
  return (code >= 0x0E00 && code <= 0x0EFF) || (code >= 0x1000 && code <= 0x109F) ||
         (code >= 0x3040 && code <= 0x30FF) || (code >= 0x3400 && code <= 0x9FFF) ||
         (code >= 0xF900 && code <= 0xFAFF) || (code >= 0x20000 && code <= 0x3FFFF);
}

bool is_letter(uint32_t code) {
  if (code < 0x80) return (code >= 'a' && code <= 'z') || (code >= '0' && code <= '9');
  const bool is_punctuation = code < 0xC0 || (code >= 0x2000 && code <= 0x206F) ||
                              (code >= 0x3000 && code <= 0x303F) ||
                              (code >= 0xFF00 && code <= 0xFF0F);
  return !is_punctuation;
}

uint64_t hash_run(const std::vector<uint64_t>& hashes, size_t first, size_t length) {
  uint64_t hash = mix64(length);
  for (size_t i = 0; i < length; ++i) hash = mix64(hash ^ hashes[first + i]);
  return hash;
}

std::string join(const std::vector<std::string>& words, size_t first, size_t length) {
  std::string text;
  for (size_t i = first; i < first + length; ++i) text += (i > first ? " " : "") + words[i];
  return text;
}

}  // namespace

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  for (size_t i = 0; i < text.size();) {
    const Character c = read_character(text.substr(i));
    const std::string_view bytes = text.substr(i, c.size);
    i += c.size;
    if (c.code >= 'A' && c.code <= 'Z') {
      word += static_cast<char>(c.code - 'A' + 'a');
    } else if (stands_alone(c.code)) {
      end_word();
      words.emplace_back(bytes);
    } else if (is_letter(c.code)) {
      word += bytes;
    } else {
      end_word();
    }
  }
  end_word();
  return words;
}

ContaminationCheck::ContaminationCheck(int64_t num_words, int64_t min_words)
    : num_words_(num_words), min_words_(min_words) {
  if (num_words < 1 || min_words < 1 || min_words > num_words)
    fail(ErrorCode::InvalidArgument,
         "[data.contamination] num_words is {} and min_words {}, expected 1 or more and not more "
         "than num_words",
         num_words, min_words);
  runs_.resize(static_cast<size_t>(num_words) + 1);
}

void ContaminationCheck::add_evaluation(const std::string& task, const std::string& id,
                                        std::string_view inputs) {
  if (tasks_.empty() || tasks_.back() != task) {
    const auto found = std::find(tasks_.begin(), tasks_.end(), task);
    if (found == tasks_.end()) tasks_.push_back(task);
  }
  const auto task_index =
      static_cast<size_t>(std::find(tasks_.begin(), tasks_.end(), task) - tasks_.begin());
  const auto number = static_cast<uint32_t>(examples_.size());
  examples_.push_back({task_index, id, false, false, "", ""});
  std::vector<uint64_t> hashes;
  for (const std::string& word : words_of(inputs)) hashes.push_back(hash_word(word));
  if (hashes.size() < static_cast<size_t>(min_words_)) {
    examples_.back().is_too_short = true;
    return;
  }
  const size_t length = std::min(hashes.size(), static_cast<size_t>(num_words_));
  for (size_t i = 0; i + length <= hashes.size(); ++i)
    runs_[length].emplace(hash_run(hashes, i, length), number);
}

void ContaminationCheck::add_training(const std::string& name, std::string_view text) {
  const std::vector<std::string> words = words_of(text);
  num_training_words_ += static_cast<int64_t>(words.size());
  std::vector<uint64_t> hashes;
  for (const std::string& word : words) hashes.push_back(hash_word(word));
  for (size_t length = 1; length < runs_.size(); ++length) {
    if (runs_[length].empty()) continue;
    for (size_t i = 0; i + length <= hashes.size(); ++i) {
      const auto [begin, end] = runs_[length].equal_range(hash_run(hashes, i, length));
      for (auto it = begin; it != end; ++it) {
        Example& example = examples_[it->second];
        if (example.is_hit) continue;
        example.is_hit = true;
        example.training_task = name;
        example.words = join(words, i, length);
      }
    }
  }
}

std::vector<ContaminationCheck::TaskReport> ContaminationCheck::report() const {
  std::vector<TaskReport> reports(tasks_.size());
  for (size_t t = 0; t < tasks_.size(); ++t) reports[t].task = tasks_[t];
  for (const Example& example : examples_) {
    TaskReport& report = reports[example.task];
    ++report.num_examples;
    if (example.is_too_short) ++report.num_too_short;
    if (example.is_hit) report.hits.push_back({example.id, example.training_task, example.words});
  }
  return reports;
}

}  // namespace flanmoe::data
