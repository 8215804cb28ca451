// T5's tokenizer: a SentencePiece model, its special tokens, and the sentinels on top.
//
// Encoding cuts the raw text at literal <pad>, </s>, <unk> and <extra_id_N>, runs SentencePiece on
// every piece by itself and puts the special ids between (what T5 and `transformers` do).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace flanmoe::text {

class Tokenizer {
 public:
  // From `folder`/spiece.model or, where there is none, from `tokenizer.json` (a Unigram one;
  // `transformers` 5 saves only that). `tokenizer_config.json` or `tokenizer.json`, where they are
  // there, say the number of sentinels ("extra_ids" or the count of <extra_id_N> among the special
  // tokens; 100 where nothing says so). Throws NotFound, CorruptFile, Unsupported.
  static Tokenizer load(const std::string& folder);
  // From the bytes of a spiece.model.
  static Tokenizer from_model_bytes(std::string bytes, int64_t num_sentinels = 100);

  static constexpr int32_t kPadId = 0;
  static constexpr int32_t kEosId = 1;
  static constexpr int32_t kUnkId = 2;

  // Ids without </s>. Text that is empty or blank gives none.
  std::vector<int32_t> encode(std::string_view text) const;
  // With </s> at the end; truncated to `max_length` (</s> included) where that is positive.
  std::vector<int32_t> encode_with_eos(std::string_view text, int64_t max_length = 0) const;
  // `skips_special` leaves out <pad>, </s>, <unk> and the sentinels.
  std::string decode(const std::vector<int32_t>& ids, bool skips_special = true) const;
  // The piece of an id ("▁the", "<extra_id_0>"); ids past the end give "<unused_N>".
  std::string piece(int32_t id) const;

  int64_t num_sentinels() const;
  // <extra_id_0> is the highest id. Throws InvalidArgument past num_sentinels().
  int32_t sentinel_id(int64_t n) const;
  // Pieces and sentinels together; a model's embedding may be longer.
  int64_t size() const;

  // Writes what a Hugging Face folder needs: spiece.model, tokenizer_config.json, tokenizer.json.
  // Where the tokenizer came with some of tokenizer_config.json, tokenizer.json and
  // special_tokens_map.json, these are written as they were and tokenizer.json is not made.
  void save(const std::string& folder) const;
  // Of the SentencePiece model.
  std::string content_hash() const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

struct VocabularyConfig {
  int64_t num_pieces = 1000;
  double character_coverage = 1.0;
  template <class Visitor>
  void visit(Visitor& v) {
    v("num_pieces", num_pieces, "SentencePiece pieces, special tokens included, sentinels not");
    v("character_coverage", character_coverage,
      "share of characters that get a piece of their own");
  }
};

// Trains a Unigram SentencePiece model as T5 has it (pad 0, </s> 1, <unk> 2, no <s>, nmt_nfkc).
// Same sentences, same bytes. Returns the bytes of the spiece.model. Throws InvalidArgument where
// the text is too small for the vocabulary.
std::string train_sentencepiece(const std::vector<std::string>& sentences,
                                const VocabularyConfig& config);

}  // namespace flanmoe::text
