// tokenizer.json, which `transformers` 5 saves without a spiece.model beside it, and loads without
// the SentencePiece library.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"

namespace flanmoe::text {

struct RebuiltModel {
  std::string bytes;          // of a spiece.model with the same pieces, scores and normalisation
  int64_t num_sentinels = 0;  // <extra_id_N> that stood at the end of the vocabulary
};

// Throws CorruptFile, Unsupported (not a Unigram tokenizer, or a normalisation that is not
// SentencePiece's).
RebuiltModel rebuild_sentencepiece(const Json& tokenizer, const std::string& where);

struct ScoredPiece {
  std::string text;
  float score = 0;
};

// The file that `transformers` makes of a T5 tokenizer. `charsmap`: the table of SentencePiece's
// normaliser.
std::string make_tokenizer_json(const std::vector<ScoredPiece>& pieces, std::string_view charsmap,
                                int64_t num_sentinels);

}  // namespace flanmoe::text
