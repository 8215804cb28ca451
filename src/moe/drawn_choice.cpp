#include "moe/drawn_choice.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include <algorithm>
#include <numeric>

namespace flanmoe::moe {

std::vector<int64_t> draw_distinct(const RandomKey& key, int64_t num_experts, int64_t k) {
  std::vector<int64_t> experts(static_cast<size_t>(num_experts));
  std::iota(experts.begin(), experts.end(), 0);
  for (int64_t j = 0; j < k; ++j) {
    const auto other = j + static_cast<int64_t>(key.below(static_cast<uint64_t>(num_experts - j),
                                                          static_cast<uint64_t>(j)));
    std::swap(experts[static_cast<size_t>(j)], experts[static_cast<size_t>(other)]);
  }
  experts.resize(static_cast<size_t>(k));
  return experts;
}

ops::Routing route_given(const RouterInput& input, const Config& config, int64_t k,
                         const std::function<std::vector<int64_t>(int64_t)>& experts) {
  Choices choices;
  choices.expert_TK = at::empty({input.num_tokens(), k}, at::kLong);
  int64_t* expert = choices.expert_TK.mutable_data_ptr<int64_t>();
  for (int64_t t = 0; t < input.num_tokens(); ++t)
    for (const int64_t e : experts(t)) *expert++ = e;
  choices.weight_TK = at::full({input.num_tokens(), k}, 1.0 / static_cast<double>(k),
                               input.logits_TE.options().requires_grad(false));
  ops::Routing routing;
  place(routing, input, config, choices);
  return routing;
}

}  // namespace flanmoe::moe
