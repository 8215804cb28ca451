#include "study/stages/mixture_draw.h"

#include "base/log.h"
#include "base/random.h"
#include "data/builtin.h"
#include "study/data_spec.h"

namespace flanmoe::study {
namespace {

using Sources = std::vector<std::shared_ptr<const data::Source>>;

Sources open_all(const std::string& specs, uint64_t seed) {
  Sources sources;
  for (const auto& spec : split_specs(specs))
    for (auto& source : data::open_sources(spec, seed)) sources.push_back(std::move(source));
  return sources;
}

}  // namespace

Draw make_mixture_draw(const MixtureDraw& settings, const text::Tokenizer& tokenizer) {
  const uint64_t seed = settings.seed;
  const auto mixture =
      std::make_shared<const data::Mixture>(open_all(settings.specs, seed), settings.mixture, seed);
  for (const auto& share : mixture->shares())
    log::debug("[study] {} ({}): {} examples, rate {:.4f}", share.task, share.cluster, share.size,
               share.rate);
  return [mixture, seed, tokenizer](uint64_t position) {
    const data::Example example = mixture->get(position);
    const RandomKey key = RandomKey(seed, RandomPurpose::DataOrder)
                              .fold(example.task)
                              .fold(example.id)
                              .fold(position);
    return data::TokenizedExample{key.state(), tokenizer.encode_with_eos(example.inputs),
                                  tokenizer.encode_with_eos(example.targets)};
  };
}

void check_trainable(const std::string& specs, const std::string& place) {
  for (const auto& spec : split_specs(specs)) {
    if (!is_builtin(spec)) continue;
    for (const auto& task : data::builtin::tasks())
      if (spec == "builtin:" + task.name && task.cluster == data::builtin::held_out_cluster())
        fail(ErrorCode::InvalidConfig,
             "[{}] {} belongs to the held-out cluster '{}', which is never trained on", place, spec,
             task.cluster);
    (void)data::open_sources(spec, 0);  // an unknown name
  }
}

}  // namespace flanmoe::study
