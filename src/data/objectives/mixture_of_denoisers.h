// UL2's mixture of denoisers (Tay et al., arXiv 2205.05131, section 3.1): every example is made by
// one of several objectives, which a token at the head of the input may name.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/enum_names.h"
#include "data/objectives/objective.h"

namespace flanmoe::data {

enum class DenoiserKind { SpanCorruption, PrefixLm };

}  // namespace flanmoe::data

template <>
struct flanmoe::EnumNames<flanmoe::data::DenoiserKind> {
  static constexpr std::pair<data::DenoiserKind, std::string_view> values[] = {
      {data::DenoiserKind::SpanCorruption, "span-corruption"},
      {data::DenoiserKind::PrefixLm, "prefix-lm"}};
};

namespace flanmoe::data {

struct DenoiserConfig {
  DenoiserKind kind = DenoiserKind::SpanCorruption;
  double noise_density = 0.15;
  double mean_span_length = 3.0;  // of span corruption
  std::string mode_token;
  double rate = 1.0;
  template <class Visitor>
  void visit(Visitor& v) {
    v("kind", kind, "span-corruption or prefix-lm");
    v("noise_density", noise_density, "share of tokens that are the target");
    v("mean_span_length", mean_span_length, "mean length of a masked span, with span-corruption");
    v("mode_token", mode_token,
      "text at the head of the input ([NLU], <extra_id_99>); empty: nothing");
    v("rate", rate, "examples of this denoiser, in proportion to the rates of the others");
  }
};

// The seven of UL2, equally often: R (mean 3 and 8, density 0.15) under [NLU], S (prefix-LM whose
// target is a quarter on average) under [S2S], X (3 and 8 at 0.5, 64 at 0.15 and 0.5) under [NLG].
std::vector<DenoiserConfig> ul2_denoisers();

struct MixtureOfDenoisersConfig {
  std::vector<DenoiserConfig> denoisers = ul2_denoisers();
  template <class Visitor>
  void visit(Visitor& v) {
    v("denoisers", denoisers, "the objectives that are mixed; those of UL2 where nothing is said");
  }
};

// A piece has the length that all of them can take, so that documents are cut alike whichever is
// drawn. Throws InvalidConfig naming the denoiser.
std::unique_ptr<Objective> make_mixture_of_denoisers(const MixtureOfDenoisersConfig& config,
                                                     const ObjectiveLimits& limits,
                                                     const ObjectiveVocabulary& vocabulary);

}  // namespace flanmoe::data
