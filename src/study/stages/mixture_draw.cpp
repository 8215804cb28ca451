#include "study/stages/mixture_draw.h"

#include "base/log.h"
#include "base/random.h"
#include "data/token_cache.h"

namespace flanmoe::study {
namespace {

constexpr int64_t kCachedExamples = 1000;

}  // namespace

Draw make_mixture_draw(const MixtureDraw& settings, const text::Tokenizer& tokenizer) {
  const uint64_t seed = settings.seed;
  const auto mixture = std::make_shared<const data::Mixture>(
      data::open_mixture(settings.specs, settings.mixture, seed));
  for (const auto& source : mixture->missing)
    log::warn("[data] {}: {} is not there; drawing from the rest", source.collection, source.path);
  if (!mixture->held_out.empty())
    log::info("[data] {} tasks are held out", mixture->held_out.size());
  if (mixture->num_skipped > 0) log::warn("[data] {} bad rows are left out", mixture->num_skipped);
  for (const auto& task : mixture->tasks())
    log::debug("[data] {} ({}): {} examples, rate {:.4f}", task.name(), task.cluster(),
               task.num_examples, task.rate);
  // Examples that no template changes are tokenised once, on disk; those of small tasks when they
  // are drawn, since a file for each would cost more than it saves.
  const data::TokenCache cache(tokenizer);
  std::vector<std::shared_ptr<const data::TokenizedSource>> tokenized;
  for (const auto& task : mixture->tasks())
    tokenized.push_back(task.prompter->is_identity() && task.source->size() >= kCachedExamples
                            ? cache.open(task.source)
                            : nullptr);
  return [mixture, seed, tokenizer, tokenized](uint64_t position) {
    const data::Mixture::Draw draw = mixture->locate(position);
    const data::MixtureTask& task = mixture->tasks()[draw.task];
    data::TokenizedExample example;
    if (tokenized[draw.task]) {
      example = tokenized[draw.task]->get(draw.index);
    } else {
      const data::PromptText text = mixture->text(draw, tokenizer);
      example.inputs = tokenizer.encode_with_eos(text.inputs);
      example.targets = tokenizer.encode_with_eos(text.targets);
    }
    example.key = RandomKey(seed, RandomPurpose::DataOrder)
                      .fold(task.collection)
                      .fold(task.name())
                      .fold(draw.index)
                      .fold(draw.epoch)
                      .state();
    return example;
  };
}

}  // namespace flanmoe::study
