#include "train/stage_progress.h"

#include <fmt/format.h>

namespace flanmoe::train {
namespace {

constexpr double kKeptOfOlderSteps = 0.95;

}  // namespace

StageProgress::StageProgress(const Budget& budget, const std::string& label)
    : num_steps_(budget.steps_alone()), bar_(label.empty() ? "train" : label, 0, "steps") {}

void StageProgress::update(const Counts& counts, double fraction, const Counts& of_step,
                           double seconds, double loss, double matmul_flops_per_s) {
  // the first step has much to set up
  if (num_updates_++ == 1) recent_tokens_ = recent_flops_ = recent_s_ = 0;
  const auto add = [](double& sum, double value) { sum = sum * kKeptOfOlderSteps + value; };
  add(recent_tokens_, static_cast<double>(of_step.num_input_tokens + of_step.num_target_tokens));
  add(recent_flops_, of_step.train_flops);
  add(recent_s_, seconds);
  std::vector<std::string> figures = {fmt::format("loss {:.3f}", loss)};
  if (recent_s_ > 0) {
    figures.push_back(format_count(recent_tokens_ / recent_s_) + " tokens/s");
    const double flops_per_s = recent_flops_ / recent_s_;
    std::string speed = format_count(flops_per_s) + "FLOP/s";
    if (matmul_flops_per_s > 0)
      speed += fmt::format(" ({:.0f} %)", 100 * flops_per_s / matmul_flops_per_s);
    figures.push_back(speed);
  }
  bar_.update(fraction,
              num_steps_ > 0 ? fmt::format("{}/{} steps", counts.step, num_steps_)
                             : fmt::format("{} steps", counts.step),
              figures);
}

}  // namespace flanmoe::train
