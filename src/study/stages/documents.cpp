#include "study/stages/documents.h"

#include <memory>

#include "base/log.h"
#include "base/random.h"
#include "data/builtin.h"
#include "data/jsonl.h"
#include "study/data_spec.h"

namespace flanmoe::study {
namespace {

using Tokens = std::vector<int32_t>;

data::TokenizedExample corrupt(const Tokens& tokens, const DocumentDraw& settings,
                               const text::Tokenizer& tokenizer, uint64_t position) {
  const auto mask =
      data::draw_noise_mask(static_cast<int64_t>(tokens.size()), settings.span_corruption,
                            RandomKey(settings.seed, RandomPurpose::SpanCorruption).fold(position));
  auto example =
      data::apply_noise_mask(tokens, mask, tokenizer.sentinel_id(0), tokenizer.num_sentinels());
  example.key = RandomKey(settings.seed, RandomPurpose::DataOrder).fold(position).state();
  return example;
}

// Documents of the built-in corpus: `kStride` numbers belong to every position, as many as needed
// are used.
Tokens draw_builtin(const DocumentDraw& settings, const text::Tokenizer& tokenizer,
                    size_t raw_length, uint64_t position) {
  constexpr uint64_t kStride = 64;
  Tokens tokens;
  for (uint64_t i = 0; i < kStride && tokens.size() < raw_length; ++i) {
    if (tokens.size() >= 2 && !settings.concatenates_documents) break;
    const auto more =
        tokenizer.encode(data::builtin::make_document(settings.seed, position * kStride + i));
    tokens.insert(tokens.end(), more.begin(), more.end());
  }
  tokens.resize(std::min(tokens.size(), raw_length));
  return tokens;
}

struct Pieces {
  Tokens tokens;
  std::vector<std::pair<size_t, size_t>> spans;  // begin, length

  // Pieces of tokens[begin, end), at most `length` each; a rest of one token is left out.
  void cut(size_t begin, size_t end, size_t length) {
    for (; begin + 1 < end; begin += length)
      spans.emplace_back(begin, std::min(length, end - begin));
  }
};

Pieces load_pieces(const DocumentDraw& settings, const text::Tokenizer& tokenizer,
                   size_t raw_length) {
  Pieces pieces;
  for (const auto& spec : split_specs(settings.specs))
    for (const auto& document : data::load_documents(spec)) {
      const size_t begin = pieces.tokens.size();
      const auto more = tokenizer.encode(document);
      pieces.tokens.insert(pieces.tokens.end(), more.begin(), more.end());
      if (!settings.concatenates_documents) pieces.cut(begin, pieces.tokens.size(), raw_length);
    }
  if (settings.concatenates_documents) pieces.cut(0, pieces.tokens.size(), raw_length);
  if (pieces.spans.empty())
    fail(ErrorCode::InvalidArgument, "[study] no text to pretrain on in {}", settings.specs);
  log::info("[study] {} tokens of text in {} pieces", pieces.tokens.size(), pieces.spans.size());
  return pieces;
}

}  // namespace

Draw make_document_draw(const DocumentDraw& settings, const text::Tokenizer& tokenizer) {
  const auto raw_length = static_cast<size_t>(
      data::fit_to_input_length(settings.input_length, settings.span_corruption).raw_length);
  const auto specs = split_specs(settings.specs);
  if (specs == std::vector<std::string>{"builtin:corpus"})
    return [=](uint64_t position) {
      return corrupt(draw_builtin(settings, tokenizer, raw_length, position), settings, tokenizer,
                     position);
    };
  const auto pieces = std::make_shared<const Pieces>(load_pieces(settings, tokenizer, raw_length));
  return [=](uint64_t position) {
    const uint64_t size = pieces->spans.size();
    const Permutation order(
        size, RandomKey(settings.seed, RandomPurpose::DataOrder).fold(position / size));
    const auto [begin, length] = pieces->spans[order(position % size)];
    const auto first = pieces->tokens.begin() + static_cast<std::ptrdiff_t>(begin);
    return corrupt(Tokens(first, first + static_cast<std::ptrdiff_t>(length)), settings, tokenizer,
                   position);
  };
}

}  // namespace flanmoe::study
