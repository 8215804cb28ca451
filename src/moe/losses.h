// Router losses, without their coefficients.
//
// Shape letters: T tokens, E experts, K choices a token, G groups.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "moe/config.h"
#include "nn/context.h"
#include "ops/routing.h"

namespace flanmoe::moe {

struct RouterInput;

// Fills in the routing's balance loss, mean over the groups that have tokens of E * sum_e f_e P_e,
// with P_e the mean probability and f_e the share of tokens that choose e, before any is dropped,
// by `count` (Switch, arXiv 2101.03961, eq. 4 to 6; facts.md item 102), and the z-loss, mean over
// tokens of logsumexp(logits)^2 (ST-MoE, arXiv 2202.08906, eq. 5). choice_TK int64, best first.
void add_router_losses(ops::Routing& routing, const RouterInput& input, const at::Tensor& choice_TK,
                       BalanceCount count);

// The balance loss of f and P [G, E]; rows without tokens are 0 in both.
at::Tensor compute_load_balance_loss(const at::Tensor& load_share_GE,
                                     const at::Tensor& mean_probability_GE);

// Losses by layer in, the terms of the training loss out (facts.md items 103 and 118). Layers of a
// stack are told by the first part of their name; pooling needs the same groups in all of them.
std::vector<nn::AuxiliaryLoss> reduce_over_layers(const std::vector<nn::AuxiliaryLoss>& losses,
                                                  LayerReduction reduction);

}  // namespace flanmoe::moe
