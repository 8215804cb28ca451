#include "data/objectives/mixture_of_denoisers.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "data/objectives/prefix_lm.h"
#include "data/objectives/span_corruption.h"

namespace flanmoe::data {
namespace {

struct Denoiser {
  std::unique_ptr<Objective> objective;
  std::vector<int32_t> mode_ids;
  double cumulative_rate;  // of this one and those before it
};

Denoiser make_denoiser(const DenoiserConfig& config, const ObjectiveLimits& limits,
                       const ObjectiveVocabulary& vocabulary) {
  Denoiser denoiser{nullptr, {}, 0};
  if (!config.mode_token.empty()) denoiser.mode_ids = vocabulary.encode(config.mode_token);
  const ObjectiveLimits rest{limits.input_length - static_cast<int64_t>(denoiser.mode_ids.size()),
                             limits.target_length};
  denoiser.objective =
      config.kind == DenoiserKind::PrefixLm
          ? make_prefix_lm({config.noise_density}, rest)
          : make_span_corruption({config.noise_density, config.mean_span_length}, rest, vocabulary);
  return denoiser;
}

class MixtureOfDenoisers final : public Objective {
 public:
  MixtureOfDenoisers(const MixtureOfDenoisersConfig& config, const ObjectiveLimits& limits,
                     const ObjectiveVocabulary& vocabulary) {
    for (size_t i = 0; i < config.denoisers.size(); ++i) {
      const double rate = config.denoisers[i].rate;
      if (!(rate >= 0 && std::isfinite(rate)))
        fail(ErrorCode::InvalidConfig,
             "[data.ul2.denoisers[{}]] rate is {}, expected a number that is not negative", i,
             rate);
      if (rate == 0) continue;
      try {
        denoisers_.push_back(make_denoiser(config.denoisers[i], limits, vocabulary));
      } catch (const Error& error) {
        fail(error.code(), "[data.ul2.denoisers[{}]] {}", i, error.what());
      }
      total_rate_ += rate;
      denoisers_.back().cumulative_rate = total_rate_;
    }
    if (denoisers_.empty())
      fail(ErrorCode::InvalidConfig,
           "[data.ul2.denoisers] has none with a rate above 0, expected at least one");
    piece_length_ = denoisers_.front().objective->piece_length();
    for (const Denoiser& denoiser : denoisers_)
      piece_length_ = std::min(piece_length_, denoiser.objective->piece_length());
  }
  int64_t piece_length() const override { return piece_length_; }
  TokenizedExample make_example(const std::vector<int32_t>& piece, RandomKey key) const override {
    const double drawn = key.fold(0).uniform(0) * total_rate_;
    size_t i = 0;
    while (i + 1 < denoisers_.size() && drawn >= denoisers_[i].cumulative_rate) ++i;
    const Denoiser& denoiser = denoisers_[i];
    TokenizedExample example = denoiser.objective->make_example(piece, key.fold(1));
    example.inputs.insert(example.inputs.begin(), denoiser.mode_ids.begin(),
                          denoiser.mode_ids.end());
    return example;
  }

 private:
  std::vector<Denoiser> denoisers_;
  double total_rate_ = 0;
  int64_t piece_length_ = 0;
};

}  // namespace

std::vector<DenoiserConfig> ul2_denoisers() {
  using enum DenoiserKind;
  return {{SpanCorruption, 0.15, 3, "[NLU]", 1}, {SpanCorruption, 0.15, 8, "[NLU]", 1},
          {PrefixLm, 0.25, 0, "[S2S]", 1},       {SpanCorruption, 0.5, 3, "[NLG]", 1},
          {SpanCorruption, 0.5, 8, "[NLG]", 1},  {SpanCorruption, 0.15, 64, "[NLG]", 1},
          {SpanCorruption, 0.5, 64, "[NLG]", 1}};
}

std::unique_ptr<Objective> make_mixture_of_denoisers(const MixtureOfDenoisersConfig& config,
                                                     const ObjectiveLimits& limits,
                                                     const ObjectiveVocabulary& vocabulary) {
  return std::make_unique<MixtureOfDenoisers>(config, limits, vocabulary);
}

}  // namespace flanmoe::data
