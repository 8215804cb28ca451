// Router losses, without their coefficients.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace flanmoe::moe {

// Mean over groups of E * sum_e f_e P_e: f_e share of the group's tokens whose first choice is e
// (before any is dropped; no gradient), P_e mean probability (Switch, arXiv 2101.03961, eq. 4 to 6;
// mesh-tf counts first choices for top-2 too). Uniform routing gives 1. probabilities_TE [T, E];
// first_choice_T int64 [T]; group_of_token as in RouterInput.
at::Tensor compute_load_balance_loss(const at::Tensor& probabilities_TE,
                                     const at::Tensor& first_choice_T,
                                     const std::vector<int64_t>& group_of_token,
                                     int64_t num_groups);

// Mean over tokens of logsumexp(logits)^2 (ST-MoE, arXiv 2202.08906, eq. 5).
at::Tensor compute_z_loss(const at::Tensor& logits_TE);

}  // namespace flanmoe::moe
