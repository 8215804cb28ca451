#include "ops/routing.h"

#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <numeric>

#include "base/error.h"

namespace flanmoe::ops {

namespace {

at::Tensor values(const at::Tensor& tensor) {
  return tensor.detach().to(at::kCPU, at::kDouble).contiguous();
}

double scalar(const at::Tensor& tensor) {
  return tensor.defined() ? *values(tensor).const_data_ptr<double>() : 0;
}

}  // namespace

RoutingStatistics compute_statistics(const Routing& routing) {
  const c10::AutoGradMode off(false);
  RoutingStatistics result;
  result.num_tokens = routing.num_tokens;
  result.requested = routing.requested;
  for (size_t e = 0; e + 1 < routing.expert_offsets.size(); ++e)
    result.load.push_back(routing.expert_offsets[e + 1] - routing.expert_offsets[e]);
  const int64_t num_kept = std::accumulate(result.load.begin(), result.load.end(), int64_t{0});
  const int64_t num_requested =
      std::accumulate(result.requested.begin(), result.requested.end(), int64_t{0});
  if (num_requested > 0)
    result.fraction_dropped =
        1 - static_cast<double>(num_kept) / static_cast<double>(num_requested);
  result.load_balance_loss = scalar(routing.load_balance_loss);
  result.z_loss = scalar(routing.z_loss);

  if (routing.num_tokens > 0 && routing.probabilities_TE.defined()) {
    const at::Tensor probabilities = values(routing.probabilities_TE);
    const double* p = probabilities.const_data_ptr<double>();
    double sum = 0;
    for (int64_t i = 0; i < probabilities.numel(); ++i)
      if (p[i] > 0) sum -= p[i] * std::log(p[i]);
    result.entropy = sum / static_cast<double>(routing.num_tokens);
  }
  if (routing.num_tokens > 0 && routing.token_index_A.defined()) {
    const at::Tensor token_index = routing.token_index_A.to(at::kCPU).contiguous();
    const int64_t* token = token_index.const_data_ptr<int64_t>();
    std::vector<bool> is_served(static_cast<size_t>(routing.num_tokens));
    for (int64_t a = 0; a < token_index.numel(); ++a)
      is_served[static_cast<size_t>(token[a])] = true;
    int64_t num_unserved = 0;
    for (const bool served : is_served) num_unserved += !served;
    result.fraction_unserved =
        static_cast<double>(num_unserved) / static_cast<double>(routing.num_tokens);
  }
  if (routing.combine_weight_A.defined() && routing.combine_weight_A.numel() > 0) {
    const at::Tensor weights = values(routing.combine_weight_A);
    const double* w = weights.const_data_ptr<double>();
    result.mean_combine_weight =
        std::accumulate(w, w + weights.numel(), 0.0) / static_cast<double>(weights.numel());
  }
  return result;
}

double load_variation(const std::vector<int64_t>& load) {
  double sum = 0, squares = 0;
  for (const int64_t count : load) sum += static_cast<double>(count);
  if (sum == 0) return 0;
  const double mean = sum / static_cast<double>(load.size());
  for (const int64_t count : load)
    squares += (static_cast<double>(count) - mean) * (static_cast<double>(count) - mean);
  return std::sqrt(squares / static_cast<double>(load.size())) / mean;
}

SlotAssignment assign_slots(const std::vector<AssignmentRequest>& requests, int64_t num_experts,
                            const std::vector<int64_t>& capacity_of_group,
                            const std::vector<int64_t>& group_of_token) {
  const auto num_groups = static_cast<int64_t>(capacity_of_group.size());
  // kept requests by bin, bins by expert then group
  std::vector<std::vector<int64_t>> bins(static_cast<size_t>(num_experts * num_groups));
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto& [token, expert] = requests[i];
    if (expert < 0 || expert >= num_experts)
      fail(ErrorCode::InvalidArgument,
           "[ops.assign_slots] request {} is for expert {}; there are {} experts", i, expert,
           num_experts);
    if (!group_of_token.empty() &&
        (token < 0 || token >= static_cast<int64_t>(group_of_token.size())))
      fail(ErrorCode::InvalidArgument,
           "[ops.assign_slots] request {} is of token {}; {} tokens have a group", i, token,
           group_of_token.size());
    const int64_t group = group_of_token.empty() ? 0 : group_of_token[static_cast<size_t>(token)];
    if (group < 0 || group >= num_groups)
      fail(ErrorCode::InvalidArgument,
           "[ops.assign_slots] token {} is of group {}; {} groups have a capacity", token, group,
           num_groups);
    const int64_t capacity = capacity_of_group[static_cast<size_t>(group)];
    auto& bin = bins[static_cast<size_t>(expert * num_groups + group)];
    if (capacity == 0 || static_cast<int64_t>(bin.size()) < capacity)
      bin.push_back(static_cast<int64_t>(i));
  }
  SlotAssignment result;
  result.expert_offsets.push_back(0);
  for (int64_t e = 0; e < num_experts; ++e) {
    for (int64_t g = 0; g < num_groups; ++g) {
      const auto& bin = bins[static_cast<size_t>(e * num_groups + g)];
      result.kept.insert(result.kept.end(), bin.begin(), bin.end());
    }
    result.expert_offsets.push_back(static_cast<int64_t>(result.kept.size()));
  }
  return result;
}

}  // namespace flanmoe::ops
