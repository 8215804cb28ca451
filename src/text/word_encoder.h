// Text to ids, one word after the other.
//
// Where no piece has a space mark behind its first character, the best segmentation of a text is
// that of its words: each is looked up in a memo, and segmented only where it is not there.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/normalizer.h"
#include "text/unigram.h"
#include "text/word_memo.h"

namespace flanmoe::text {

class WordEncoder {
 public:
  // `can_split_words`: no piece has a space mark behind its first character.
  WordEncoder(Normalizer normalizer, Unigram unigram, bool can_split_words, int32_t unknown_id);
  // Appends the ids of `text`; the same as unigram.encode(normalizer.normalize(text)). Safe to call
  // from several threads.
  void encode(std::string_view text, std::vector<int32_t>& ids) const;
  // The same without cutting into words.
  void encode_whole(std::string_view text, std::vector<int32_t>& ids) const;

 private:
  void encode_word(std::string_view word, std::vector<int32_t>& ids) const;

  Normalizer normalizer_;
  Unigram unigram_;
  bool can_split_words_;
  int32_t unknown_id_;
  bool is_boundary_[256];
  std::unique_ptr<WordMemo> memo_;
};

}  // namespace flanmoe::text
