// What all routers share in which tokens choose experts.
//
// Shape letters: T tokens, E experts, K choices a token.
#pragma once

#include <functional>

#include "moe/router.h"

namespace flanmoe::moe {

// What the tokens ask for.
struct Choices {
  at::Tensor expert_TK;  // int64, on the CPU, best first
  at::Tensor weight_TK;  // combine weights before any is dropped, differentiable; on the device
  std::vector<bool> is_asked_TK;  // flattened; empty: all
};

// The k most probable experts of every token; ties go to the lower index. Weights are raw or
// normalised over the k by Config::combine_weights (facts.md item 97).
Choices choose_top_k(const at::Tensor& probabilities_TE, int64_t k, CombineWeights weights);

// Gives slots: all first choices before all second ones (facts.md item 95), among them by
// Config::priority; a request past the capacity is dropped. Fills in everything of the routing but
// probabilities and losses.
void place(ops::Routing& routing, const RouterInput& input, const Config& config,
           const Choices& choices);

// Softmax, the top k, slots and losses: the whole of a plain top-k router. `asks`, where given,
// says whether a token asks for its j-th choice (j from 1), given that choice's normalised weight.
ops::Routing route_top_k(
    const RouterInput& input, const Config& config, int64_t k,
    const std::function<bool(int64_t token, int64_t j, double weight)>& asks = {});

// Throws InvalidConfig where there are not k experts.
void expect_experts(const Config& config, int64_t k);

}  // namespace flanmoe::moe
