// What a model is pretrained on: from a piece of raw text to an example.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/random.h"
#include "data/tokenized_example.h"

namespace flanmoe::data {

// What an objective uses of the vocabulary.
struct ObjectiveVocabulary {
  int32_t first_sentinel_id = 0;  // of <extra_id_0>; the following ones count down
  int64_t num_sentinels = 0;
  std::function<std::vector<int32_t>(const std::string& text)> encode;  // without </s>
};

// Longest sides of an example, </s> included.
struct ObjectiveLimits {
  int64_t input_length = 0;
  int64_t target_length = 0;
};

class Objective {
 public:
  virtual ~Objective() = default;
  // Tokens of the longest piece of text whose examples stay within the limits.
  virtual int64_t piece_length() const = 0;
  // Both sides end with </s>. A pure function; the example's key is left 0. The piece has at least
  // one token and at most piece_length().
  virtual TokenizedExample make_example(const std::vector<int32_t>& piece, RandomKey key) const = 0;
};

}  // namespace flanmoe::data
