// What a stage may spend.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "train/config.h"
#include "train/metrics.h"

namespace flanmoe::train {

constexpr int64_t kDefaultSteps = 1000;

enum class EndedBy { Steps, Tokens, TrainFlops, WallS, Patience };

// The budgets that a config gives: of steps, tokens, train_flops and wall_s those that are not 0;
// where all are, steps = kDefaultSteps. The first one that is spent ends the stage.
class Budget {
 public:
  explicit Budget(const Config& config);

  // Which one is spent, if any; `wall_s` over all processes of the run.
  std::optional<EndedBy> spent(const Counts& counts, double wall_s) const;
  // Largest share of any of them that is spent, 0 to 1.
  double fraction(const Counts& counts, double wall_s) const;
  // "1000 steps", "2e+15 FLOPs or 3600 s".
  std::string describe() const;
  // Where a stage stands in it: "5 of 12", "5 (1.2e+09 of 2e+15 FLOPs)".
  std::string describe(const Counts& counts, double wall_s) const;

  // The steps where they are the only budget, otherwise 0.
  int64_t steps_alone() const {
    return tokens_ > 0 || train_flops_ > 0 || wall_s_ > 0 ? 0 : steps_;
  }

 private:
  int64_t steps_, tokens_;
  double train_flops_, wall_s_;
};

}  // namespace flanmoe::train

template <>
struct flanmoe::EnumNames<flanmoe::train::EndedBy> {
  static constexpr std::pair<train::EndedBy, std::string_view> values[] = {
      {train::EndedBy::Steps, "steps"},
      {train::EndedBy::Tokens, "tokens"},
      {train::EndedBy::TrainFlops, "train_flops"},
      {train::EndedBy::WallS, "wall_s"},
      {train::EndedBy::Patience, "patience"}};
};
