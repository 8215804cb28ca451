#include "text/tokenizer_json.h"

#include <algorithm>
#include <bit>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace flanmoe::text {
namespace {

// Field numbers and types of sentencepiece_model.proto.
class ProtoWriter {
 public:
  void add_varint(int field, int64_t value) {
    write_varint(static_cast<uint64_t>(field) << 3);
    write_varint(static_cast<uint64_t>(value));
  }
  void add_float(int field, float value) {
    write_varint(static_cast<uint64_t>(field) << 3 | 5);
    const auto bits = std::bit_cast<uint32_t>(value);
    for (int i = 0; i < 4; ++i) bytes_ += static_cast<char>(bits >> (8 * i));
  }
  void add_bytes(int field, std::string_view content) {
    write_varint(static_cast<uint64_t>(field) << 3 | 2);
    write_varint(content.size());
    bytes_ += content;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void write_varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

enum PieceType : int { kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6 };

constexpr std::string_view kBase64Digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string decode_base64(std::string_view text, const std::string& where) {
  std::string result;
  uint32_t bits = 0;
  int num_bits = 0;
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  for (const char c : text) {
    const size_t digit = kBase64Digits.find(c);
    if (digit == std::string_view::npos)
      fail(ErrorCode::CorruptFile, "{}: precompiled_charsmap is not base64", where);
    bits = bits << 6 | static_cast<uint32_t>(digit);
    num_bits += 6;
    if (num_bits < 8) continue;
    num_bits -= 8;
    result += static_cast<char>(bits >> num_bits & 0xFF);
  }
  return result;
}

std::string encode_base64(std::string_view bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t j = i; j < i + 3; ++j)
      bits = bits << 8 | (j < bytes.size() ? static_cast<unsigned char>(bytes[j]) : 0u);
    for (size_t j = 0; j < 4; ++j)
      text += i + j > bytes.size() ? '=' : kBase64Digits[bits >> (18 - 6 * j) & 63];
  }
  return text;
}

std::string type_of(const Json& object) {
  if (!object.is_object()) return "";
  const auto found = object.find("type");
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// The table of the one normaliser that SentencePiece has; "" where there is none.
std::string find_charsmap(const Json& normalizer, const std::string& where) {
  if (normalizer.is_null()) return "";
  const std::string type = type_of(normalizer);
  if (type == "Sequence") {
    std::string result;
    if (const auto found = normalizer.find("normalizers");
        found != normalizer.end() && found->is_array())
      for (const Json& element : *found)
        if (std::string charsmap = find_charsmap(element, where); !charsmap.empty())
          result = std::move(charsmap);
    return result;
  }
  // SentencePiece takes away spaces by itself.
  if (type == "Strip" || type == "Replace") return "";
  const auto found =
      type == "Precompiled" ? normalizer.find("precompiled_charsmap") : normalizer.end();
  if (type != "Precompiled" || found == normalizer.end())
    fail(ErrorCode::Unsupported,
         "{}: the normalizer '{}' is not SentencePiece's; a spiece.model is needed", where, type);
  if (found->is_null()) return "";
  if (!found->is_string())
    fail(ErrorCode::CorruptFile, "{}: precompiled_charsmap is {}, expected a string", where,
         found->type_name());
  return decode_base64(found->get_ref<const std::string&>(), where);
}

bool is_byte_piece(const std::string& text) {
  return text.size() == 6 && text.starts_with("<0x") && text.back() == '>';
}

}  // namespace

RebuiltModel rebuild_sentencepiece(const Json& tokenizer, const std::string& where) {
  const auto model = tokenizer.find("model");
  const std::string type = model == tokenizer.end() ? "" : type_of(*model);
  if (type != "Unigram")
    fail(ErrorCode::Unsupported,
         "{}: a tokenizer of the type '{}', expected 'Unigram'; a spiece.model is needed", where,
         type);
  const auto vocab = model->find("vocab");
  if (vocab == model->end() || !vocab->is_array())
    fail(ErrorCode::CorruptFile, "{}: model.vocab is not a list", where);
  const auto byte_fallback = model->find("byte_fallback");
  const bool has_bytes =
      byte_fallback != model->end() && byte_fallback->is_boolean() && byte_fallback->get<bool>();

  for (const Json& entry : *vocab)
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number())
      fail(ErrorCode::CorruptFile, "{}: a piece is {}, expected [text, score]", where,
           entry.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 80));
  RebuiltModel result;
  size_t num_pieces = vocab->size();
  while (num_pieces > 3 && (*vocab)[num_pieces - 1][0].get_ref<const std::string&>() ==
                               fmt::format("<extra_id_{}>", result.num_sentinels)) {
    --num_pieces;
    ++result.num_sentinels;
  }

  ProtoWriter proto;
  for (size_t id = 0; id < num_pieces; ++id) {
    const auto& text = (*vocab)[id][0].get_ref<const std::string&>();
    ProtoWriter piece;
    piece.add_bytes(1, text);
    piece.add_float(2, (*vocab)[id][1].get<float>());
    piece.add_varint(3, id < 2                             ? kControl
                        : id == 2                          ? kUnknown
                        : has_bytes && is_byte_piece(text) ? kByte
                                                           : kNormal);
    proto.add_bytes(1, piece.bytes());
  }
  ProtoWriter trainer;
  trainer.add_varint(3, 1);  // model_type Unigram
  trainer.add_varint(4, static_cast<int64_t>(num_pieces));
  trainer.add_varint(35, has_bytes);
  for (const auto& [field, id] : {std::pair{40, 2}, {41, -1}, {42, 1}, {43, 0}})
    trainer.add_varint(field, id);  // unk, bos, eos, pad
  proto.add_bytes(2, trainer.bytes());
  ProtoWriter normalizer;
  const auto found = tokenizer.find("normalizer");
  const std::string charsmap = found == tokenizer.end() ? "" : find_charsmap(*found, where);
  normalizer.add_bytes(1, charsmap.empty() ? "identity" : "nmt_nfkc");
  normalizer.add_bytes(2, charsmap);
  for (const int field : {3, 4, 5})
    normalizer.add_varint(field,
                          1);  // add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces
  proto.add_bytes(3, normalizer.bytes());
  result.bytes = proto.bytes();
  return result;
}

std::string make_tokenizer_json(const std::vector<ScoredPiece>& pieces, std::string_view charsmap,
                                int64_t num_sentinels) {
  const auto num_pieces = static_cast<int64_t>(pieces.size());
  Json added = Json::array(), vocab = Json::array();
  const auto add_token = [&added](int64_t id, const std::string& text) {
    added.push_back({{"id", id},
                     {"content", text},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  };
  for (const ScoredPiece& piece : pieces) vocab.push_back({piece.text, piece.score});
  for (int64_t id = 0; id < std::min<int64_t>(3, num_pieces); ++id)
    add_token(id, pieces[static_cast<size_t>(id)].text);
  for (int64_t n = num_sentinels - 1; n >= 0; --n) {
    const std::string text = fmt::format("<extra_id_{}>", n);
    add_token(num_pieces + num_sentinels - 1 - n, text);
    vocab.push_back({text, 0.0});
  }
  const Json metaspace = {{"type", "Metaspace"},
                          {"replacement", "\xE2\x96\x81"},
                          {"prepend_scheme", "always"},
                          {"split", true}};
  const auto sequence = [](const char* id) {
    return Json{{"Sequence", {{"id", id}, {"type_id", 0}}}};
  };
  const Json eos = {{"SpecialToken", {{"id", "</s>"}, {"type_id", 0}}}};

  Json json;
  json["version"] = "1.0";
  json["truncation"] = nullptr;
  json["padding"] = nullptr;
  json["added_tokens"] = std::move(added);
  json["normalizer"] = nullptr;
  if (!charsmap.empty())
    json["normalizer"] = {{"type", "Precompiled"},
                          {"precompiled_charsmap", encode_base64(charsmap)}};
  json["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers", Json::array({Json{{"type", "WhitespaceSplit"}}, metaspace})}};
  json["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", Json::array({sequence("A"), eos})},
      {"pair", Json::array({sequence("A"), eos, sequence("B"), eos})},
      {"special_tokens",
       {{"</s>", {{"id", "</s>"}, {"ids", Json::array({1})}, {"tokens", Json::array({"</s>"})}}}}}};
  json["decoder"] = metaspace;
  json["model"] = {
      {"type", "Unigram"}, {"unk_id", 2}, {"vocab", std::move(vocab)}, {"byte_fallback", false}};
  return json.dump(2) + "\n";
}

}  // namespace flanmoe::text
