// Contamination: evaluation inputs that stand in the training text. Runs of 13 words, as GPT-3
// (arXiv 2005.14165, appendix C) and FLAN check it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace flanmoe::data {

// Lower case (ASCII), letters and digits of any script; everything else separates words. In scripts
// written without spaces every character is a word.
std::vector<std::string> words_of(std::string_view text);

// Remembers the n-grams of evaluation inputs, then is shown the training text.
class ContaminationCheck {
 public:
  // An input shorter than `num_words` is looked for whole, down to `min_words`; those below are not
  // checked (and counted).
  explicit ContaminationCheck(int64_t num_words = 13, int64_t min_words = 5);

  void add_evaluation(const std::string& task, const std::string& id, std::string_view inputs);
  // `name`: the training task, for the report.
  void add_training(const std::string& name, std::string_view text);

  struct Hit {
    std::string id;             // of the evaluation example
    std::string training_task;  // the first that has it
    std::string words;          // the run they share
  };
  struct TaskReport {
    std::string task;
    int64_t num_examples = 0;
    int64_t num_too_short = 0;
    std::vector<Hit> hits;  // one an example, in the order of the examples
  };
  std::vector<TaskReport> report() const;
  int64_t num_training_words() const { return num_training_words_; }

 private:
  struct Example {
    size_t task;
    std::string id;
    bool is_too_short = false;
    bool is_hit = false;
    std::string training_task, words;
  };
  int64_t num_words_, min_words_;
  std::vector<std::string> tasks_;
  std::vector<Example> examples_;
  // Hash of a run of words -> the examples that have it, for every length that occurs.
  std::vector<std::unordered_multimap<uint64_t, uint32_t>> runs_;  // [length]
  int64_t num_training_words_ = 0;
};

}  // namespace flanmoe::data
