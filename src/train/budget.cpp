#include "train/budget.h"

#include <fmt/format.h>

#include <algorithm>

namespace flanmoe::train {
namespace {

double count_tokens(const Counts& counts) {
  return static_cast<double>(counts.num_input_tokens + counts.num_target_tokens);
}

}  // namespace

Budget::Budget(const Config& config)
    : steps_(config.steps),
      tokens_(config.tokens),
      train_flops_(config.train_flops),
      wall_s_(config.wall_s) {
  if (steps_ <= 0 && tokens_ <= 0 && train_flops_ <= 0 && wall_s_ <= 0) steps_ = kDefaultSteps;
}

std::optional<EndedBy> Budget::spent(const Counts& counts, double wall_s) const {
  if (steps_ > 0 && counts.step >= steps_) return EndedBy::Steps;
  if (tokens_ > 0 && count_tokens(counts) >= static_cast<double>(tokens_)) return EndedBy::Tokens;
  if (train_flops_ > 0 && counts.train_flops >= train_flops_) return EndedBy::TrainFlops;
  if (wall_s_ > 0 && wall_s >= wall_s_) return EndedBy::WallS;
  return std::nullopt;
}

double Budget::fraction(const Counts& counts, double wall_s) const {
  double largest = 0;
  const auto take = [&](double spent, double all) {
    if (all > 0) largest = std::max(largest, spent / all);
  };
  take(static_cast<double>(counts.step), static_cast<double>(steps_));
  take(count_tokens(counts), static_cast<double>(tokens_));
  take(counts.train_flops, train_flops_);
  take(wall_s, wall_s_);
  return std::min(1.0, largest);
}

std::string Budget::describe() const {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : " or ") + part; };
  if (steps_ > 0) add(fmt::format("{} steps", steps_));
  if (tokens_ > 0) add(fmt::format("{} tokens", tokens_));
  if (train_flops_ > 0) add(fmt::format("{:.3g} FLOPs", train_flops_));
  if (wall_s_ > 0) add(fmt::format("{:.6g} s", wall_s_));
  return text;
}

std::string Budget::describe(const Counts& counts, double wall_s) const {
  std::string rest;
  const auto add = [&](const std::string& part) { rest += (rest.empty() ? "" : ", ") + part; };
  if (tokens_ > 0) add(fmt::format("{:.0f} of {} tokens", count_tokens(counts), tokens_));
  if (train_flops_ > 0)
    add(fmt::format("{:.3g} of {:.3g} FLOPs", counts.train_flops, train_flops_));
  if (wall_s_ > 0) add(fmt::format("{:.3g} of {:.6g} s", wall_s, wall_s_));
  const std::string step =
      steps_ > 0 ? fmt::format("{} of {}", counts.step, steps_) : fmt::format("{}", counts.step);
  return rest.empty() ? step : fmt::format("{} ({})", step, rest);
}

}  // namespace flanmoe::train
