#include "moe/token_choice.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "moe/capacity.h"
#include "moe/losses.h"

namespace flanmoe::moe {
namespace {

// Tokens in the order in which they get slots.
std::vector<int64_t> order_tokens(const ops::Routing& routing, const RouterInput& input,
                                  const Config& config) {
  std::vector<int64_t> order(static_cast<size_t>(routing.num_tokens));
  std::iota(order.begin(), order.end(), 0);
  const bool looks_ahead = input.is_causal && !input.is_training;
  if (config.priority == Priority::Position || looks_ahead || !routing.probabilities_TE.defined())
    return order;
  const at::Tensor top =
      std::get<0>(routing.probabilities_TE.detach().max(1)).to(at::kCPU, at::kDouble).contiguous();
  const double* score = top.const_data_ptr<double>();
  std::stable_sort(order.begin(), order.end(),
                   [score](int64_t a, int64_t b) { return score[a] > score[b]; });
  return order;
}

}  // namespace

Choices choose_top_k(const at::Tensor& probabilities_TE, int64_t k, CombineWeights weights) {
  const int64_t num_tokens = probabilities_TE.size(0), num_experts = probabilities_TE.size(1);
  const at::Tensor host = probabilities_TE.detach().to(at::kCPU).contiguous();
  Choices choices;
  choices.expert_TK = at::empty({num_tokens, k}, at::kLong);
  int64_t* chosen = choices.expert_TK.mutable_data_ptr<int64_t>();
  const auto choose = [&]<class T>(T) {
    const T* p = host.const_data_ptr<T>();
    for (int64_t t = 0; t < num_tokens; ++t, p += num_experts, chosen += k)
      for (int64_t e = 0; e < num_experts; ++e) {
        // insertion into the best so far: an equal one stays behind the earlier
        const int64_t filled = std::min(e, k);
        int64_t j = filled;
        while (j > 0 && p[e] > p[chosen[j - 1]]) --j;
        if (j == k) continue;
        for (int64_t i = std::min(filled, k - 1); i > j; --i) chosen[i] = chosen[i - 1];
        chosen[j] = e;
      }
  };
  if (host.scalar_type() == at::kDouble)
    choose(double{});
  else
    choose(float{});
  choices.weight_TK = probabilities_TE.gather(1, choices.expert_TK.to(probabilities_TE.device()));
  if (weights == CombineWeights::Normalised)
    choices.weight_TK = choices.weight_TK.div(choices.weight_TK.sum(1, /*keepdim=*/true));
  return choices;
}

void place(ops::Routing& routing, const RouterInput& input, const Config& config,
           const Choices& choices) {
  const int64_t k = choices.expert_TK.size(1);
  routing.num_tokens = input.num_tokens();
  routing.num_experts = input.num_experts();
  routing.requested.assign(static_cast<size_t>(routing.num_experts), 0);
  const int64_t* expert = choices.expert_TK.const_data_ptr<int64_t>();
  std::vector<ops::AssignmentRequest> requests;
  std::vector<int64_t> weight_of_request;
  requests.reserve(static_cast<size_t>(k * routing.num_tokens));
  weight_of_request.reserve(requests.capacity());
  const std::vector<int64_t> order = order_tokens(routing, input, config);
  for (int64_t j = 0; j < k; ++j)
    for (const int64_t t : order) {
      const int64_t i = t * k + j;
      if (!choices.is_asked_TK.empty() && !choices.is_asked_TK[static_cast<size_t>(i)]) continue;
      requests.push_back({t, expert[i]});
      weight_of_request.push_back(i);
      ++routing.requested[static_cast<size_t>(expert[i])];
    }

  std::vector<int64_t> capacity;
  for (int64_t size : count_group_sizes(input)) {
    capacity.push_back(input.is_dropless ? 0
                                         : compute_capacity(config, k, size, input.is_training));
    routing.capacity = std::max(routing.capacity, capacity.back());
  }
  ops::SlotAssignment slots =
      ops::assign_slots(requests, routing.num_experts, capacity, input.group_of_token);
  routing.expert_offsets = std::move(slots.expert_offsets);
  std::vector<int64_t> token_index, weight_index;
  token_index.reserve(slots.kept.size());
  weight_index.reserve(slots.kept.size());
  for (int64_t request : slots.kept) {
    token_index.push_back(requests[static_cast<size_t>(request)].token);
    weight_index.push_back(weight_of_request[static_cast<size_t>(request)]);
  }
  const auto device = input.logits_TE.device();
  routing.token_index_A = at::tensor(token_index, at::kLong).to(device);
  routing.combine_weight_A =
      choices.weight_TK.reshape(-1).index_select(0, at::tensor(weight_index, at::kLong).to(device));
}

ops::Routing route_top_k(const RouterInput& input, const Config& config, int64_t k,
                         const std::function<bool(int64_t, int64_t, double)>& asks) {
  ops::Routing routing;
  routing.num_tokens = input.num_tokens();
  routing.num_experts = input.num_experts();
  routing.probabilities_TE = at::softmax(input.logits_TE, 1);
  Choices choices = choose_top_k(routing.probabilities_TE, k, config.combine_weights);
  if (asks) {
    const at::Tensor weights = choices.weight_TK.detach().to(at::kCPU, at::kDouble).contiguous();
    const double* weight = weights.const_data_ptr<double>();
    choices.is_asked_TK.assign(static_cast<size_t>(weights.numel()), true);
    for (int64_t t = 0; t < routing.num_tokens; ++t) {
      const double mass = std::accumulate(weight + t * k, weight + (t + 1) * k, 0.0);
      for (int64_t j = 1; j < k; ++j)
        choices.is_asked_TK[static_cast<size_t>(t * k + j)] = asks(t, j, weight[t * k + j] / mass);
    }
  }
  place(routing, input, config, choices);
  add_router_losses(routing, input, choices.expert_TK, config.balance_count);
  return routing;
}

void expect_experts(const Config& config, int64_t k) {
  if (config.num_experts < k)
    fail(
        ErrorCode::InvalidConfig,
        "[moe.num_experts] router '{}' with {} experts a token needs at least {} experts, found {}",
        config.router, k, k, config.num_experts);
}

}  // namespace flanmoe::moe
