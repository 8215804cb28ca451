#include "moe/capacity.h"

#include <algorithm>
#include <cmath>

namespace flanmoe::moe {

int64_t compute_capacity(const Config& config, int64_t k, int64_t num_tokens, bool is_training) {
  if (config.is_dropless) return 0;
  if (config.capacity_rule == CapacityRule::Absolute) return config.expert_capacity;
  const double factor = is_training ? config.train_capacity_factor : config.eval_capacity_factor;
  const int64_t choices = config.capacity_rule == CapacityRule::PerChoice ? k : 1;
  const double slots =
      factor * static_cast<double>(choices * num_tokens) / static_cast<double>(config.num_experts);
  double rounded = std::nearbyint(slots);
  if (std::abs(slots - rounded) > 1e-9) {
    if (config.capacity_rounding == CapacityRounding::Up) rounded = std::ceil(slots);
    if (config.capacity_rounding == CapacityRounding::Down) rounded = std::floor(slots);
  }
  return std::max<int64_t>(config.min_expert_capacity, static_cast<int64_t>(rounded));
}

std::vector<int64_t> count_group_sizes(const RouterInput& input) {
  std::vector<int64_t> sizes(static_cast<size_t>(input.num_groups), 0);
  if (input.group_of_token.empty()) sizes[0] = input.num_tokens();
  for (int64_t group : input.group_of_token) ++sizes[static_cast<size_t>(group)];
  return sizes;
}

}  // namespace flanmoe::moe
