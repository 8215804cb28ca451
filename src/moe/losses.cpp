#include "moe/losses.h"

#include <ATen/ops/logsumexp.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/one_hot.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

namespace flanmoe::moe {

at::Tensor compute_load_balance_loss(const at::Tensor& probabilities_TE,
                                     const at::Tensor& first_choice_T,
                                     const std::vector<int64_t>& group_of_token,
                                     int64_t num_groups) {
  const int64_t num_experts = probabilities_TE.size(1);
  const at::Tensor chosen_TE =
      at::one_hot(first_choice_T, num_experts).to(probabilities_TE.scalar_type());
  if (num_groups <= 1)
    return at::mul(chosen_TE.mean(0), probabilities_TE.mean(0)).sum().mul(num_experts);

  const at::Tensor group_T = at::tensor(group_of_token, at::kLong).to(probabilities_TE.device());
  std::vector<double> sizes(static_cast<size_t>(num_groups), 0.0);
  for (int64_t group : group_of_token) sizes[static_cast<size_t>(group)] += 1;
  int64_t num_filled = 0;
  for (double& size : sizes) {
    if (size > 0)
      ++num_filled;
    else
      size = 1;
  }
  const at::Tensor size_G1 =
      at::tensor(sizes, probabilities_TE.options().requires_grad(false)).unsqueeze(1);
  const at::Tensor zeros_GE =
      at::zeros({num_groups, num_experts}, probabilities_TE.options().requires_grad(false));
  const at::Tensor share_GE = zeros_GE.index_add(0, group_T, chosen_TE).div(size_G1);
  const at::Tensor mean_GE = zeros_GE.index_add(0, group_T, probabilities_TE).div(size_G1);
  return at::mul(share_GE, mean_GE)
      .sum()
      .mul(static_cast<double>(num_experts) / static_cast<double>(num_filled));
}

at::Tensor compute_z_loss(const at::Tensor& logits_TE) {
  return at::logsumexp(logits_TE, {1}).square().mean();
}

}  // namespace flanmoe::moe
