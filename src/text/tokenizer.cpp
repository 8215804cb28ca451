#include "text/tokenizer.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "text/sentencepiece_log.h"
#include "text/tokenizer_json.h"
#include "text/word_encoder.h"

namespace flanmoe::text {
namespace {

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581
constexpr std::string_view kSentinelPrefix = "<extra_id_";
constexpr int64_t kDefaultNumSentinels = 100;
constexpr int64_t kMaxNumSentinels = 1'000'000;
constexpr const char* kModelFile = "spiece.model";
constexpr const char* kConfigFile = "tokenizer_config.json";
constexpr const char* kJsonFile = "tokenizer.json";
// Kept as they came, beside spiece.model.
constexpr const char* kOriginalFiles[] = {kConfigFile, kJsonFile, "special_tokens_map.json"};

std::string sentinel_text(int64_t n) {
  return fmt::format("{}{}>", kSentinelPrefix, n);
}

// The N of "<extra_id_N>" at the start of `text`, and how many bytes that takes; nothing where N
// has leading zeros or is too long.
std::optional<std::pair<int64_t, size_t>> parse_sentinel(std::string_view text) {
  if (!text.starts_with(kSentinelPrefix)) return std::nullopt;
  size_t i = kSentinelPrefix.size();
  const size_t first = i;
  int64_t n = 0;
  while (i < text.size() && text[i] >= '0' && text[i] <= '9' && i - first < 9)
    n = n * 10 + (text[i++] - '0');
  if (i == first || i >= text.size() || text[i] != '>') return std::nullopt;
  if (text[first] == '0' && i - first > 1) return std::nullopt;
  return std::pair{n, i + 1};
}

// The text of a token: "x", or {"content": "x", ...}.
std::optional<std::string> token_text(const Json& token) {
  if (token.is_string()) return token.get<std::string>();
  if (token.is_object()) {
    const auto found = token.find("content");
    if (found != token.end() && found->is_string()) return found->get<std::string>();
  }
  return std::nullopt;
}

void collect_tokens(const Json& value, std::set<std::string>& tokens) {
  if (!value.is_array() && !value.is_object()) return;
  for (const auto& element : value)
    if (auto text = token_text(element)) tokens.insert(*text);
}

int64_t count_sentinels(const std::set<std::string>& tokens) {
  return std::count_if(tokens.begin(), tokens.end(), [](const std::string& token) {
    const auto sentinel = parse_sentinel(token);
    return sentinel && sentinel->second == token.size();
  });
}

// What the files beside spiece.model say about special tokens.
struct SpecialTokens {
  std::optional<int64_t> num_sentinels;
  std::set<std::string> added;  // every added token that a file names
};

SpecialTokens read_special_tokens(const std::map<std::string, std::string>& originals,
                                  const std::string& folder) {
  SpecialTokens result;
  if (const auto file = originals.find(kConfigFile); file != originals.end()) {
    const std::string where = folder + "/" + kConfigFile;
    const Json config = parse_json(file->second, where);
    if (!config.is_object())
      fail(ErrorCode::CorruptFile, "{}: expected an object, found {}", where, config.type_name());
    for (const char* key :
         {"additional_special_tokens", "extra_special_tokens", "added_tokens_decoder"})
      if (const auto found = config.find(key); found != config.end())
        collect_tokens(*found, result.added);
    if (const auto found = config.find("extra_ids"); found != config.end() && !found->is_null()) {
      if (!found->is_number_integer() || found->get<double>() < 0 ||
          found->get<double>() > static_cast<double>(kMaxNumSentinels))
        fail(ErrorCode::CorruptFile, "{}: extra_ids is {}, expected a whole number from 0 to {}",
             where, found->dump(), kMaxNumSentinels);
      result.num_sentinels = found->get<int64_t>();
    }
  }
  if (const auto file = originals.find(kJsonFile); file != originals.end()) {
    const std::string where = folder + "/" + kJsonFile;
    const Json tokenizer = parse_json(file->second, where);
    if (!tokenizer.is_object())
      fail(ErrorCode::CorruptFile, "{}: expected an object, found {}", where,
           tokenizer.type_name());
    if (const auto found = tokenizer.find("added_tokens"); found != tokenizer.end())
      collect_tokens(*found, result.added);
  }
  if (!result.num_sentinels)
    if (const int64_t count = count_sentinels(result.added); count > 0)
      result.num_sentinels = count;
  return result;
}

// Steps through the fields of a protocol buffer; broken ones end early.
class ProtoFields {
 public:
  explicit ProtoFields(std::string_view bytes) : bytes_(bytes) {}
  bool next() {
    const uint64_t tag = read_varint();
    field_ = tag >> 3;
    value_ = 0;
    content_ = {};
    switch (tag & 7) {
      case 0:
        value_ = read_varint();
        break;
      case 1:
        content_ = take(8);
        break;
      case 2:
        content_ = take(read_varint());
        break;
      case 5:
        content_ = take(4);
        break;
      default:
        is_broken_ = true;
    }
    return !is_broken_;
  }
  uint64_t field() const { return field_; }
  uint64_t value() const { return value_; }
  std::string_view content() const { return content_; }

 private:
  uint64_t read_varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const std::string_view byte = take(1);
      if (is_broken_) return 0;
      value |= static_cast<uint64_t>(byte[0] & 0x7F) << shift;
      if (!(byte[0] & 0x80)) return value;
    }
    is_broken_ = true;
    return 0;
  }
  std::string_view take(uint64_t size) {
    is_broken_ = is_broken_ || size > bytes_.size();
    if (is_broken_) return {};
    const std::string_view result = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return result;
  }

  std::string_view bytes_, content_;
  uint64_t field_ = 0, value_ = 0;
  bool is_broken_ = false;
};

// What the library does not tell of a ModelProto.
struct ModelFacts {
  bool is_unigram = true;         // trainer_spec.model_type
  bool has_user_defined = false;  // pieces that the normaliser leaves as they are
  NormalizerSpec normalizer;
};

ModelFacts read_model_facts(std::string_view model_bytes) {
  constexpr uint64_t kPieces = 1, kType = 3, kUserDefined = 4;
  constexpr uint64_t kTrainerSpec = 2, kModelType = 3, kUnigram = 1, kSpaceAsSuffix = 24;
  constexpr uint64_t kNormalizerSpec = 3, kCharsmap = 2, kDummyPrefix = 3, kExtraWhitespace = 4,
                     kEscape = 5;
  ModelFacts facts;
  for (ProtoFields model(model_bytes); model.next();) {
    if (model.field() == kPieces)
      for (ProtoFields piece(model.content()); piece.next();)
        if (piece.field() == kType && piece.value() == kUserDefined) facts.has_user_defined = true;
    if (model.field() == kTrainerSpec)
      for (ProtoFields spec(model.content()); spec.next();) {
        if (spec.field() == kModelType) facts.is_unigram = spec.value() == kUnigram;
        if (spec.field() == kSpaceAsSuffix)
          facts.normalizer.has_space_as_suffix = spec.value() != 0;
      }
    if (model.field() == kNormalizerSpec)
      for (ProtoFields spec(model.content()); spec.next();) {
        if (spec.field() == kCharsmap) facts.normalizer.charsmap = spec.content();
        if (spec.field() == kDummyPrefix) facts.normalizer.adds_dummy_prefix = spec.value() != 0;
        if (spec.field() == kExtraWhitespace)
          facts.normalizer.removes_extra_whitespace = spec.value() != 0;
        if (spec.field() == kEscape) facts.normalizer.escapes_whitespace = spec.value() != 0;
      }
  }
  return facts;
}

std::optional<std::vector<Unigram::Piece>> read_pieces(
    const sentencepiece::SentencePieceProcessor& processor) {
  std::vector<Unigram::Piece> pieces;
  for (int id = 0; id < processor.GetPieceSize(); ++id) {
    if (processor.IsByte(id)) return std::nullopt;
    if (processor.IsControl(id) || processor.IsUnknown(id) || processor.IsUnused(id)) continue;
    pieces.push_back({processor.IdToPiece(id), processor.GetScore(id), id});
  }
  return pieces;
}

std::string make_tokenizer_config(const std::vector<std::pair<int64_t, std::string>>& special,
                                  int64_t num_sentinels) {
  Json added = Json::object(), additional = Json::array();
  for (const auto& [id, text] : special) {
    added[std::to_string(id)] = {{"content", text}, {"lstrip", false},      {"normalized", false},
                                 {"rstrip", false}, {"single_word", false}, {"special", true}};
  }
  for (int64_t n = 0; n < num_sentinels; ++n) additional.push_back(sentinel_text(n));
  Json config;
  config["added_tokens_decoder"] = std::move(added);
  config["additional_special_tokens"] = std::move(additional);
  config["clean_up_tokenization_spaces"] = false;
  config["eos_token"] = "</s>";
  config["extra_ids"] = num_sentinels;
  config["legacy"] = true;  // a space mark after a special token, as encode() has it
  config["model_max_length"] = 512;
  config["pad_token"] = "<pad>";
  config["sp_model_kwargs"] = Json::object();
  config["tokenizer_class"] = "T5Tokenizer";
  config["unk_token"] = "<unk>";
  return config.dump(2) + "\n";
}

}  // namespace

struct Tokenizer::State {
  std::string bytes;  // of spiece.model
  std::map<std::string, std::string> originals;
  sentencepiece::SentencePieceProcessor processor;
  int64_t num_pieces = 0;
  int64_t num_sentinels = 0;
  // mT5 has its sentinels inside spiece.model ("▁<extra_id_0>"): they are then pieces, not ids on
  // top.
  bool has_own_sentinels = false;
  // Absent for models of another type, or with pieces for bytes. Where the normalisation is not
  // T5's, `unigram` segments what SentencePiece normalised.
  std::optional<WordEncoder> words;
  std::optional<Unigram> unigram;

  int64_t size() const { return num_pieces + (has_own_sentinels ? 0 : num_sentinels); }
  bool is_sentinel(int32_t id) const { return id >= size() - num_sentinels && id < size(); }
  bool is_special(int32_t id) const {
    return id >= size() || is_sentinel(id) || id == kUnkId || processor.IsUnknown(id) ||
           processor.IsControl(id);
  }

  // The special token at the start of `text` and its length.
  std::optional<std::pair<int32_t, size_t>> match_special(std::string_view text) const {
    for (const auto& [id, token] : {std::pair<int32_t, std::string_view>{kPadId, "<pad>"},
                                    {kEosId, "</s>"},
                                    {kUnkId, "<unk>"}})
      if (text.starts_with(token)) return std::pair{id, token.size()};
    if (has_own_sentinels) return std::nullopt;
    const auto sentinel = parse_sentinel(text);
    if (!sentinel || sentinel->first >= num_sentinels) return std::nullopt;
    return std::pair{static_cast<int32_t>(size() - 1 - sentinel->first), sentinel->second};
  }

  void append_encoded(std::string_view text, std::vector<int32_t>& ids) const {
    if (text.empty()) return;
    if (words) return words->encode(text, ids);
    const auto check = [&](const sentencepiece::util::Status& status) {
      if (!status.ok())
        fail(ErrorCode::Internal, "[tokenizer] SentencePiece cannot encode {} bytes: {}",
             text.size(), status.message());
    };
    if (unigram) {
      std::vector<std::string> pieces;
      check(processor.Encode({text.data(), text.size()}, &pieces));
      std::string normalized;
      for (const std::string& piece : pieces) normalized += piece;
      unigram->encode(normalized, ids);
    } else {
      std::vector<int> pieces;
      check(processor.Encode({text.data(), text.size()}, &pieces));
      ids.insert(ids.end(), pieces.begin(), pieces.end());
    }
  }

  void set_up_segmentation() {
    const ModelFacts facts = read_model_facts(bytes);
    auto pieces = facts.is_unigram ? read_pieces(processor) : std::nullopt;
    if (!pieces) return;
    const bool can_split_words =
        std::none_of(pieces->begin(), pieces->end(), [](const Unigram::Piece& piece) {
          return piece.text.find(kSpaceMark, 1) != std::string::npos;
        });
    Unigram model(std::move(*pieces), kUnkId);
    auto normalizer = facts.has_user_defined ? std::nullopt : Normalizer::make(facts.normalizer);
    if (normalizer)
      words.emplace(std::move(*normalizer), std::move(model), can_split_words, kUnkId);
    else
      unigram = std::move(model);
  }

  static std::shared_ptr<State> make(std::string bytes, int64_t num_sentinels,
                                     const std::string& where) {
    silence_sentencepiece();
    if (num_sentinels < 0 || num_sentinels > kMaxNumSentinels)
      fail(ErrorCode::InvalidArgument, "[tokenizer] num_sentinels is {}, expected 0 to {}",
           num_sentinels, kMaxNumSentinels);
    auto state = std::make_shared<State>();
    state->bytes = std::move(bytes);
    if (state->bytes.empty())
      fail(ErrorCode::CorruptFile, "{}: empty, expected a SentencePiece model", where);
    const auto status =
        state->processor.LoadFromSerializedProto({state->bytes.data(), state->bytes.size()});
    if (!status.ok())
      fail(ErrorCode::CorruptFile, "{}: not a SentencePiece model: {}", where, status.message());
    state->num_pieces = state->processor.GetPieceSize();
    const auto& processor = state->processor;
    if (state->num_pieces < 3 || processor.IdToPiece(kPadId) != "<pad>" ||
        processor.IdToPiece(kEosId) != "</s>" || !processor.IsUnknown(kUnkId))
      fail(ErrorCode::Unsupported,
           "{}: expected T5's special pieces '<pad>' 0, '</s>' 1 and unknown 2; found {} pieces "
           "that begin with '{}', '{}', '{}'",
           where, state->num_pieces, state->num_pieces > 0 ? processor.IdToPiece(0) : "",
           state->num_pieces > 1 ? processor.IdToPiece(1) : "",
           state->num_pieces > 2 ? processor.IdToPiece(2) : "");
    state->set_up_segmentation();
    state->num_sentinels = num_sentinels;
    if (num_sentinels == 0) {
      const auto is_own = [&](int64_t n) {
        std::string_view piece = processor.IdToPiece(static_cast<int>(state->num_pieces - 1 - n));
        if (piece.starts_with(kSpaceMark)) piece.remove_prefix(kSpaceMark.size());
        return piece == sentinel_text(n);
      };
      while (state->num_sentinels < state->num_pieces - 3 && is_own(state->num_sentinels))
        ++state->num_sentinels;
      state->has_own_sentinels = state->num_sentinels > 0;
    }
    return state;
  }
};

Tokenizer Tokenizer::load(const std::string& folder) {
  const std::string path = folder + "/" + kModelFile;
  std::map<std::string, std::string> originals;
  for (const char* name : kOriginalFiles)
    if (is_file(folder + "/" + name)) originals[name] = read_file(folder + "/" + name);
  const bool has_model = is_file(path);
  if (!has_model && !originals.contains(kJsonFile))
    fail(ErrorCode::NotFound, "[tokenizer] '{}' has neither {} nor {}{}", folder, kModelFile,
         kJsonFile, is_folder(folder) ? "" : " (there is no such folder)");
  SpecialTokens special = read_special_tokens(originals, folder);
  std::string bytes;
  if (has_model) {
    bytes = read_file(path);
  } else {
    const std::string where = folder + "/" + kJsonFile;
    RebuiltModel rebuilt = rebuild_sentencepiece(parse_json(originals[kJsonFile], where), where);
    bytes = std::move(rebuilt.bytes);
    if (rebuilt.num_sentinels > 0) special.num_sentinels = rebuilt.num_sentinels;
  }
  auto state = State::make(std::move(bytes), special.num_sentinels.value_or(kDefaultNumSentinels),
                           has_model ? path : folder + "/" + kJsonFile);
  state->originals = std::move(originals);
  for (const std::string& token : special.added) {
    const auto known = state->match_special(token);
    if ((known && known->second == token.size()) ||
        (state->has_own_sentinels && parse_sentinel(token)))
      continue;
    log::warn("[tokenizer] {}: the added token '{}' is not one of T5's and is read as plain text",
              folder, token);
  }
  Tokenizer tokenizer;
  tokenizer.state_ = std::move(state);
  return tokenizer;
}

Tokenizer Tokenizer::from_model_bytes(std::string bytes, int64_t num_sentinels) {
  Tokenizer tokenizer;
  tokenizer.state_ = State::make(std::move(bytes), num_sentinels, kModelFile);
  return tokenizer;
}

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<int32_t> ids;
  size_t begin = 0;
  for (size_t i = text.find('<'); i != std::string_view::npos; i = text.find('<', i)) {
    const auto special = state_->match_special(text.substr(i));
    if (!special) {
      ++i;
      continue;
    }
    state_->append_encoded(text.substr(begin, i - begin), ids);
    ids.push_back(special->first);
    i += special->second;
    begin = i;
  }
  state_->append_encoded(text.substr(begin), ids);
  return ids;
}

std::vector<int32_t> Tokenizer::encode_with_eos(std::string_view text, int64_t max_length) const {
  std::vector<int32_t> ids = encode(text);
  if (max_length > 0 && static_cast<int64_t>(ids.size()) >= max_length)
    ids.resize(static_cast<size_t>(max_length - 1));
  ids.push_back(kEosId);
  return ids;
}

std::string Tokenizer::decode(const std::vector<int32_t>& ids, bool skips_special) const {
  std::string result;
  bool is_first = true;
  for (const int32_t id : ids) {
    if (id < 0)
      fail(ErrorCode::InvalidArgument, "[tokenizer] id {} cannot be decoded, expected 0 or more",
           id);
    const bool is_special = state_->is_special(id);
    if (is_special && skips_special) continue;
    const std::string text = piece(id);
    if (is_special) {
      result += text;
    } else if (state_->processor.IsByte(id)) {  // "<0x41>"
      result += static_cast<char>(std::stoi(text.substr(3, 2), nullptr, 16));
    } else {
      for (size_t i = 0; i < text.size();) {
        if (std::string_view(text).substr(i).starts_with(kSpaceMark)) {
          if (!is_first) result += ' ';
          i += kSpaceMark.size();
        } else {
          result += text[i++];
        }
      }
    }
    is_first = false;
  }
  return result;
}

std::string Tokenizer::piece(int32_t id) const {
  if (id < 0)
    fail(ErrorCode::InvalidArgument, "[tokenizer] id {} has no piece, expected 0 or more", id);
  if (id < state_->num_pieces) return state_->processor.IdToPiece(id);
  if (id < state_->size()) return sentinel_text(state_->size() - 1 - id);
  return fmt::format("<unused_{}>", id);
}

int64_t Tokenizer::num_sentinels() const {
  return state_->num_sentinels;
}

int32_t Tokenizer::sentinel_id(int64_t n) const {
  if (n < 0 || n >= state_->num_sentinels)
    fail(ErrorCode::InvalidArgument,
         "[tokenizer] sentinel <extra_id_{}> was asked for, and the tokenizer has {}", n,
         state_->num_sentinels);
  return static_cast<int32_t>(state_->size() - 1 - n);
}

int64_t Tokenizer::size() const {
  return state_->size();
}

void Tokenizer::save(const std::string& folder) const {
  make_folders(folder);
  write_file_atomically(folder + "/" + kModelFile, state_->bytes);
  for (const auto& [name, content] : state_->originals)
    write_file_atomically(folder + "/" + name, content);
  if (state_->originals.empty() && (state_->words || state_->unigram) &&
      !state_->has_own_sentinels) {
    std::vector<ScoredPiece> pieces;
    for (int id = 0; id < state_->num_pieces; ++id)
      pieces.push_back({state_->processor.IdToPiece(id), state_->processor.GetScore(id)});
    write_file_atomically(
        folder + "/" + kJsonFile,
        make_tokenizer_json(pieces, read_model_facts(state_->bytes).normalizer.charsmap,
                            state_->num_sentinels));
  }
  if (state_->originals.contains(kConfigFile)) return;
  std::vector<std::pair<int64_t, std::string>> special = {
      {kPadId, "<pad>"}, {kEosId, "</s>"}, {kUnkId, "<unk>"}};
  const int64_t num_added = state_->has_own_sentinels ? 0 : state_->num_sentinels;
  for (int64_t n = num_added - 1; n >= 0; --n)
    special.emplace_back(state_->size() - 1 - n, sentinel_text(n));
  write_file_atomically(folder + "/" + kConfigFile, make_tokenizer_config(special, num_added));
}

std::string Tokenizer::content_hash() const {
  return hash_text(state_->bytes);
}

}  // namespace flanmoe::text
