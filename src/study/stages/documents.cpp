#include "study/stages/documents.h"

#include <memory>

#include "base/log.h"
#include "base/random.h"
#include "data/builtin.h"
#include "data/documents.h"
#include "study/data_spec.h"

namespace flanmoe::study {
namespace {

using Tokens = std::vector<int32_t>;
// The piece of text that the example at a position is made of.
using PieceAt = std::function<Tokens(uint64_t position)>;

// Documents of a built-in corpus: `kStride` numbers belong to every position, as many as needed
// are used.
Tokens draw_builtin(const DocumentDraw& settings, data::builtin::Corpus corpus,
                    const text::Tokenizer& tokenizer, size_t piece_length, uint64_t position) {
  constexpr uint64_t kStride = 64;
  Tokens tokens;
  for (uint64_t i = 0; i < kStride && tokens.size() < piece_length; ++i) {
    if (tokens.size() >= 2 && !settings.concatenates_documents) break;
    const auto more = tokenizer.encode(
        data::builtin::make_document(settings.seed, position * kStride + i, corpus));
    tokens.insert(tokens.end(), more.begin(), more.end());
  }
  tokens.resize(std::min(tokens.size(), piece_length));
  return tokens;
}

data::DocumentPieces load_pieces(const DocumentDraw& settings, const text::Tokenizer& tokenizer,
                                 size_t piece_length) {
  data::DocumentPieces pieces(data::Documents::open(split_specs(settings.specs), tokenizer),
                              piece_length, settings.concatenates_documents);
  if (pieces.size() == 0)
    fail(ErrorCode::InvalidArgument, "[study] no text to pretrain on in {}", settings.specs);
  log::info("[study] {} tokens of text in {} pieces", pieces.documents().num_tokens(),
            pieces.size());
  return pieces;
}

}  // namespace

Draw make_document_draw(const DocumentDraw& settings, const text::Tokenizer& tokenizer) {
  const std::shared_ptr<const data::Objective> objective = data::make_objective(
      settings.objective, settings.limits,
      {tokenizer.sentinel_id(0), tokenizer.num_sentinels(),
       [tokenizer](const std::string& text) { return tokenizer.encode(text); }});
  const auto piece_length = static_cast<size_t>(objective->piece_length());
  const auto draw_from = [seed = settings.seed, objective](PieceAt piece_at) -> Draw {
    return [=](uint64_t position) {
      auto example = objective->make_example(
          piece_at(position), RandomKey(seed, RandomPurpose::SpanCorruption).fold(position));
      example.key = RandomKey(seed, RandomPurpose::DataOrder).fold(position).state();
      return example;
    };
  };
  const auto specs = split_specs(settings.specs);
  if (const auto corpus = specs.size() == 1 ? data::builtin::find_corpus(specs[0]) : std::nullopt)
    return draw_from([=](uint64_t position) {
      return draw_builtin(settings, *corpus, tokenizer, piece_length, position);
    });
  const auto pieces =
      std::make_shared<const data::DocumentPieces>(load_pieces(settings, tokenizer, piece_length));
  return draw_from([seed = settings.seed, pieces](uint64_t position) {
    const uint64_t size = pieces->size();
    const Permutation order(size, RandomKey(seed, RandomPurpose::DataOrder).fold(position / size));
    return pieces->get(order(position % size));
  });
}

}  // namespace flanmoe::study
