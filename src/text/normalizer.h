// SentencePiece's normalisation: a table of replacements (longest match first), then spaces. The
// library of Debian 12 (0.1.97) gives it only together with a segmentation that we do not use.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace flanmoe::text {

// normalizer_spec of a spiece.model, and trainer_spec.treat_whitespace_as_suffix.
struct NormalizerSpec {
  std::string_view charsmap;  // precompiled_charsmap; empty: no replacements
  bool adds_dummy_prefix = true;
  bool removes_extra_whitespace = true;
  bool escapes_whitespace = true;
  bool has_space_as_suffix = false;
};

class Normalizer {
 public:
  // Nothing for what T5-type models do not have (one of the four flags turned) and for a table that
  // is broken: then SentencePiece has to do it.
  static std::optional<Normalizer> make(const NormalizerSpec& spec);

  // As sentencepiece/src/normalizer.cc: replaced, "▁" before the text and for every space, one
  // where there are several, none at the end; "" for text that is blank. A byte that is not UTF-8
  // becomes U+FFFD.
  std::string normalize(std::string_view text) const;

  // Whether `c` becomes a space and no replacement reaches over it: the text may then be cut there,
  // its parts normalised by themselves and put together.
  bool is_boundary(char c) const { return is_boundary_[static_cast<unsigned char>(c)]; }

 private:
  struct Match {
    std::string_view text;
    size_t num_bytes;
  };
  Match match(std::string_view text) const;
  // Of the node at `position`, by the byte `label`; 0 where there is none.
  size_t child(size_t position, unsigned char label) const;
  bool has_rule_over(unsigned char c) const;

  std::vector<uint32_t> trie_;  // units of a Darts double array
  std::string replacements_;    // each ends in a zero byte
  std::vector<bool> is_boundary_ = std::vector<bool>(256);
};

}  // namespace flanmoe::text
