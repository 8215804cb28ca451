#include <sentencepiece_trainer.h>

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "base/error.h"
#include "text/sentencepiece_log.h"
#include "text/tokenizer.h"

namespace flanmoe::text {
namespace {

class VectorIterator : public sentencepiece::SentenceIterator {
 public:
  explicit VectorIterator(const std::vector<std::string>& sentences) : sentences_(sentences) {}
  bool done() const override { return next_ >= sentences_.size(); }
  void Next() override { ++next_; }
  const std::string& value() const override { return sentences_[next_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  const std::vector<std::string>& sentences_;
  size_t next_ = 0;
};

}  // namespace

std::string train_sentencepiece(const std::vector<std::string>& sentences,
                                const VocabularyConfig& config) {
  silence_sentencepiece();
  if (config.num_pieces < 4 || config.num_pieces > 1'000'000)
    fail(ErrorCode::InvalidArgument, "[vocabulary] num_pieces is {}, expected 4 to 1000000",
         config.num_pieces);
  if (!(config.character_coverage > 0 && config.character_coverage <= 1))
    fail(ErrorCode::InvalidArgument,
         "[vocabulary] character_coverage is {}, expected a number above 0 and at most 1",
         config.character_coverage);
  size_t longest = 0;
  bool has_text = false;
  for (const std::string& sentence : sentences) {
    longest = std::max(longest, sentence.size());
    has_text = has_text || sentence.find_first_not_of(" \t\r\n") != std::string::npos;
  }
  if (!has_text)
    fail(ErrorCode::InvalidArgument,
         "[vocabulary] there is no text to train on ({} sentences, all blank)", sentences.size());
  if (longest >= static_cast<size_t>(std::numeric_limits<int>::max()))
    fail(ErrorCode::InvalidArgument,
         "[vocabulary] a sentence has {} bytes, expected less than 2^31", longest);

  const std::unordered_map<std::string, std::string> options = {
      {"model_type", "unigram"},
      {"vocab_size", std::to_string(config.num_pieces)},
      {"character_coverage", fmt::format("{}", config.character_coverage)},
      {"normalization_rule_name", "nmt_nfkc"},
      {"pad_id", "0"},
      {"eos_id", "1"},
      {"unk_id", "2"},
      {"bos_id", "-1"},
      {"pad_piece", "<pad>"},
      {"eos_piece", "</s>"},
      {"unk_piece", "<unk>"},
      {"num_threads", "1"},
      {"shuffle_input_sentence", "false"},
      {"input_sentence_size", "0"},
      // SentencePiece drops longer sentences without a word.
      {"max_sentence_length", std::to_string(std::max<size_t>(longest + 1, 4192))},
      {"hard_vocab_limit", "true"},
      {"minloglevel", "3"},
  };
  VectorIterator iterator(sentences);
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(options, &iterator, &model);
  if (!status.ok()) {
    // "./src/trainer_interface.cc(660) [(condition)] Vocabulary size too high (2500). ..."
    std::string reason = status.message();
    if (const size_t end = reason.find(")] "); end != std::string::npos) reason.erase(0, end + 3);
    fail(ErrorCode::InvalidArgument, "[vocabulary] {} sentences do not give {} pieces: {}",
         sentences.size(), config.num_pieces, reason);
  }
  return model;
}

}  // namespace flanmoe::text
