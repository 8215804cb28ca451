#include "moe/token_choice.h"

#include <ATen/ops/softmax.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/topk.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "moe/losses.h"

namespace flanmoe::moe {

int64_t compute_capacity(const Config& config, int64_t experts_per_token, int64_t num_tokens,
                         bool is_training) {
  switch (config.capacity_rule) {
    case CapacityRule::None:
      return 0;
    case CapacityRule::Absolute:
      return config.expert_capacity;
    case CapacityRule::PerChoice:
      break;
  }
  const double factor = is_training ? config.train_capacity_factor : config.eval_capacity_factor;
  const double slots = factor * static_cast<double>(experts_per_token * num_tokens) /
                       static_cast<double>(config.num_experts);
  return std::max<int64_t>(1, static_cast<int64_t>(std::ceil(slots - 1e-9)));
}

ops::Routing route_token_choice(const RouterInput& input, const Config& config,
                                int64_t num_choices) {
  const at::Tensor& logits_TE = input.logits_TE;
  const int64_t num_tokens = logits_TE.size(0), num_experts = logits_TE.size(1);

  ops::Routing routing;
  routing.num_tokens = num_tokens;
  routing.num_experts = num_experts;
  routing.probabilities_TE = at::softmax(logits_TE, 1);

  // A stable sort gives ties to the lower index, which topk does not promise.
  const at::Tensor order_TE = std::get<1>(
      at::sort(routing.probabilities_TE.detach(), /*stable=*/true, /*dim=*/1, /*descending=*/true));
  const at::Tensor choice_TK = order_TE.narrow(1, 0, num_choices);
  at::Tensor weight_TK = routing.probabilities_TE.gather(1, choice_TK);
  if (config.combine_weights == CombineWeights::Normalised)
    weight_TK = weight_TK.div(weight_TK.sum(1, /*keepdim=*/true));

  const at::Tensor choices_KT = choice_TK.t().to(at::kCPU).contiguous();
  const int64_t* choice = choices_KT.const_data_ptr<int64_t>();
  std::vector<ops::AssignmentRequest> requests(static_cast<size_t>(num_choices * num_tokens));
  routing.requested.assign(static_cast<size_t>(num_experts), 0);
  for (int64_t i = 0; i < num_choices * num_tokens; ++i) {
    requests[static_cast<size_t>(i)] = {i % num_tokens, choice[i]};
    ++routing.requested[static_cast<size_t>(choice[i])];
  }

  std::vector<int64_t> group_size(static_cast<size_t>(input.num_groups), 0);
  if (input.group_of_token.empty()) group_size[0] = num_tokens;
  for (int64_t group : input.group_of_token) ++group_size[static_cast<size_t>(group)];
  std::vector<int64_t> capacity;
  for (int64_t size : group_size) {
    capacity.push_back(compute_capacity(config, num_choices, size, input.is_training));
    routing.capacity = std::max(routing.capacity, capacity.back());
  }

  ops::SlotAssignment slots =
      ops::assign_slots(requests, num_experts, capacity, input.group_of_token);
  std::vector<int64_t> token_index, weight_index;
  token_index.reserve(slots.kept.size());
  weight_index.reserve(slots.kept.size());
  for (int64_t request : slots.kept) {
    token_index.push_back(request % num_tokens);
    weight_index.push_back((request % num_tokens) * num_choices + request / num_tokens);
  }
  routing.expert_offsets = std::move(slots.expert_offsets);
  routing.token_index_A = at::tensor(token_index, at::kLong).to(logits_TE.device());
  routing.combine_weight_A = weight_TK.reshape(-1).index_select(
      0, at::tensor(weight_index, at::kLong).to(logits_TE.device()));

  routing.load_balance_loss = compute_load_balance_loss(
      routing.probabilities_TE, choice_TK.select(1, 0), input.group_of_token, input.num_groups);
  routing.z_loss = compute_z_loss(logits_TE);
  return routing;
}

}  // namespace flanmoe::moe
