#include "data/mixture/mixture.h"

#include "base/error.h"

namespace flanmoe::data {
namespace {

constexpr int64_t kMaxPassedOver = 1000;

std::vector<OrderedSource> ordered(const std::vector<MixtureTask>& tasks) {
  std::vector<OrderedSource> sources;
  for (const MixtureTask& task : tasks)
    sources.push_back({task.name(), task.rate, task.source->size(), task.num_examples});
  return sources;
}

std::vector<MixtureTask> normalised(std::vector<MixtureTask> tasks) {
  double total = 0;
  for (const MixtureTask& task : tasks) total += task.rate;
  for (MixtureTask& task : tasks) {
    task.rate /= total;
    if (!task.prompter)
      task.prompter = std::make_shared<Prompter>(task.source, PromptingConfig{}, task.name(), 0);
  }
  return tasks;
}

}  // namespace

Mixture::Mixture(std::vector<MixtureTask> tasks, uint64_t seed)
    : tasks_(normalised(std::move(tasks))), order_(ordered(tasks_), seed) {}

Mixture::Draw Mixture::locate(uint64_t position) const {
  const StreamOrder::Draw draw = order_.locate(position);
  return {draw.source, draw.index, draw.epoch};
}

PromptText Mixture::text(const Draw& draw, const text::Tokenizer& tokenizer) const {
  return to_text(get(draw), tokenizer, tasks_[draw.task].prompter->max_prompt_tokens());
}

PromptedExample Mixture::get(const Draw& draw) const {
  const MixtureTask& task = tasks_[draw.task];
  const auto size = static_cast<uint64_t>(task.source->size() < 0 ? 0 : task.source->size());
  for (int64_t i = 0; i < kMaxPassedOver; ++i) {
    const uint64_t index = draw.index + static_cast<uint64_t>(i);
    auto example = task.prompter->render(size == 0 ? index : index % size, draw.epoch);
    if (example) return std::move(*example);
  }
  fail(ErrorCode::InvalidArgument,
       "[data.mixture] no template of task '{}' applies to any of {} examples from number {} on",
       task.name(), kMaxPassedOver, draw.index);
}

}  // namespace flanmoe::data
