// Text to train a vocabulary on: a sample of the lines of files, drawn while they stream by.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace flanmoe::data {

// Every text of a file or folder: lines of .txt, `text` of JSONL, `inputs` and `targets` of
// examples (JSONL and every other format of open_sources()). Throws as those do; InvalidArgument
// where a line has neither.
void for_each_text(const std::string& path,
                   const std::function<void(std::string_view text)>& visit);

// A uniform sample of lines (Vitter's algorithm R); the same texts and seed give the same sample.
class SentenceSample {
 public:
  // `max_sentences` 0: all.
  SentenceSample(int64_t max_sentences, uint64_t seed);
  // Cut at line ends; blank lines are left out.
  void add(std::string_view text);
  int64_t num_seen() const { return static_cast<int64_t>(num_seen_); }
  const std::vector<std::string>& sentences() const { return sentences_; }

 private:
  uint64_t max_sentences_, num_seen_ = 0;
  RandomKey key_;
  std::vector<std::string> sentences_;
};

}  // namespace flanmoe::data
