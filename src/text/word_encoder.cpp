#include "text/word_encoder.h"

#include <utility>

namespace flanmoe::text {
namespace {

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581

}  // namespace

WordEncoder::WordEncoder(Normalizer normalizer, Unigram unigram, bool can_split_words,
                         int32_t unknown_id)
    : normalizer_(std::move(normalizer)),
      unigram_(std::move(unigram)),
      can_split_words_(can_split_words && normalizer_.is_boundary(' ')),
      unknown_id_(unknown_id),
      memo_(std::make_unique<WordMemo>()) {
  for (int c = 0; c < 256; ++c) is_boundary_[c] = normalizer_.is_boundary(static_cast<char>(c));
}

void WordEncoder::encode_whole(std::string_view text, std::vector<int32_t>& ids) const {
  unigram_.encode(normalizer_.normalize(text), ids);
}

void WordEncoder::encode_word(std::string_view word, std::vector<int32_t>& ids) const {
  if (memo_->find(word, ids)) return;
  const size_t first = ids.size();
  encode_whole(word, ids);
  memo_->keep(word, ids.data() + first, ids.size() - first);
}

void WordEncoder::encode(std::string_view text, std::vector<int32_t>& ids) const {
  // A mark that stands in the text is no space, but is dropped like one at the end of a text.
  if (!can_split_words_ || text.find(kSpaceMark) != std::string_view::npos)
    return encode_whole(text, ids);
  const size_t first = ids.size();
  for (size_t begin = 0; begin < text.size();) {
    if (is_boundary_[static_cast<unsigned char>(text[begin])]) {
      ++begin;
      continue;
    }
    size_t end = begin + 1;
    while (end < text.size() && !is_boundary_[static_cast<unsigned char>(text[end])]) ++end;
    const size_t before = ids.size();
    encode_word(text.substr(begin, end - begin), ids);
    // A run of unknown characters is one id, over words too (where "▁" itself is unknown).
    if (before > first && before < ids.size() && ids[before - 1] == unknown_id_ &&
        ids[before] == unknown_id_)
      ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(before));
    begin = end;
  }
}

}  // namespace flanmoe::text
