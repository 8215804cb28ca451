#include "text/normalizer.h"

#include <cstring>

#include "base/utf8.h"

namespace flanmoe::text {
namespace {

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";    // U+2581
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// A unit of darts-clone (the double array that SentencePiece stores).
constexpr bool has_leaf(uint32_t unit) {
  return (unit >> 8) & 1;
}
constexpr uint32_t leaf_value(uint32_t unit) {
  return unit & 0x7FFFFFFFu;
}
constexpr uint32_t label_of(uint32_t unit) {
  return unit & 0x800000FFu;
}
constexpr uint32_t offset_of(uint32_t unit) {
  return (unit >> 10) << ((unit & (1u << 9)) >> 6);
}

}  // namespace

std::optional<Normalizer> Normalizer::make(const NormalizerSpec& spec) {
  if (!spec.adds_dummy_prefix || !spec.removes_extra_whitespace || !spec.escapes_whitespace ||
      spec.has_space_as_suffix)
    return std::nullopt;
  Normalizer result;
  if (!spec.charsmap.empty()) {
    uint32_t size = 0;
    if (spec.charsmap.size() < sizeof(size)) return std::nullopt;
    std::memcpy(&size, spec.charsmap.data(), sizeof(size));
    const std::string_view rest = spec.charsmap.substr(sizeof(size));
    if (size < 4 || size % 4 != 0 || size > rest.size()) return std::nullopt;
    result.trie_.resize(size / 4);
    std::memcpy(result.trie_.data(), rest.data(), size);
    result.replacements_ = rest.substr(size);
    // A mark that is not from a space could end up at the end of a part.
    if (result.replacements_.find(kSpaceMark) != std::string::npos) return std::nullopt;
    result.replacements_ += '\0';
  }
  for (const char c : {' ', '\t', '\n', '\r'})
    result.is_boundary_[static_cast<unsigned char>(c)] =
        result.match({&c, 1}).text == " " && !result.has_rule_over(static_cast<unsigned char>(c));
  return result;
}

size_t Normalizer::child(size_t position, unsigned char label) const {
  const size_t next = position ^ offset_of(trie_[position]) ^ label;
  return next < trie_.size() && next != 0 && label_of(trie_[next]) == label ? next : 0;
}

// Asks every unit of the array, those that are no nodes included: it may say yes without need.
bool Normalizer::has_rule_over(unsigned char c) const {
  for (size_t position = 1; position < trie_.size(); ++position)
    if (label_of(trie_[position]) <= 0xFF && child(position, c) != 0) return true;
  if (trie_.empty()) return false;
  const size_t own = child(0, c);
  if (own == 0) return false;
  for (int label = 1; label < 256; ++label)
    if (child(own, static_cast<unsigned char>(label)) != 0) return true;
  return false;
}

Normalizer::Match Normalizer::match(std::string_view text) const {
  Match longest = {{}, 0};
  size_t position = 0;
  for (size_t i = 0; i < text.size() && !trie_.empty(); ++i) {
    position = child(position, static_cast<unsigned char>(text[i]));
    if (position == 0) break;
    if (!has_leaf(trie_[position])) continue;
    const size_t leaf = position ^ offset_of(trie_[position]);
    if (leaf >= trie_.size()) break;
    const uint32_t value = leaf_value(trie_[leaf]);
    if (value < replacements_.size()) longest = {replacements_.c_str() + value, i + 1};
  }
  if (longest.num_bytes > 0) return longest;
  const size_t size = utf8_character_bytes(text);
  return size == 0 ? Match{kReplacement, 1} : Match{text.substr(0, size), size};
}

std::string Normalizer::normalize(std::string_view text) const {
  while (!text.empty()) {
    const Match first = match(text);
    if (first.text != " ") break;
    text.remove_prefix(first.num_bytes);
  }
  if (text.empty()) return {};
  std::string result(kSpaceMark);
  bool is_after_space = true;
  while (!text.empty()) {
    auto [part, num_bytes] = match(text);
    while (is_after_space && part.starts_with(' ')) part.remove_prefix(1);
    for (const char c : part)
      if (c == ' ')
        result += kSpaceMark;
      else
        result += c;
    if (!part.empty()) is_after_space = part.ends_with(' ');
    text.remove_prefix(num_bytes);
  }
  while (result.ends_with(kSpaceMark)) result.resize(result.size() - kSpaceMark.size());
  return result;
}

}  // namespace flanmoe::text
