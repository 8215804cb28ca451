#include "moe/losses.h"

#include <ATen/ops/logsumexp.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <map>
#include <tuple>

#include "moe/capacity.h"

namespace flanmoe::moe {
namespace {

// f [G, E], counted on the host: exact whatever the number of threads.
at::Tensor count_load_share(const RouterInput& input, const at::Tensor& choice_TK,
                            const std::vector<int64_t>& group_sizes, BalanceCount count) {
  const int64_t num_experts = input.num_experts(), k = choice_TK.size(1);
  const int64_t num_counted = count == BalanceCount::FirstChoice ? 1 : k;
  const at::Tensor choices = choice_TK.to(at::kCPU).contiguous();
  const int64_t* choice = choices.const_data_ptr<int64_t>();
  std::vector<double> share(static_cast<size_t>(input.num_groups * num_experts), 0.0);
  for (int64_t t = 0; t < input.num_tokens(); ++t) {
    const int64_t group =
        input.group_of_token.empty() ? 0 : input.group_of_token[static_cast<size_t>(t)];
    for (int64_t j = 0; j < num_counted; ++j)
      share[static_cast<size_t>(group * num_experts + choice[t * k + j])] += 1;
  }
  for (size_t i = 0; i < share.size(); ++i)
    if (const int64_t size = group_sizes[i / static_cast<size_t>(num_experts)]; size > 0)
      share[i] /= static_cast<double>(size);
  return at::tensor(share, input.logits_TE.options().requires_grad(false))
      .view({input.num_groups, num_experts});
}

at::Tensor average_by_group(const RouterInput& input, const at::Tensor& x_TE,
                            const std::vector<int64_t>& group_sizes) {
  if (input.num_groups == 1) return x_TE.mean(0, /*keepdim=*/true);
  std::vector<double> inverse;
  for (int64_t size : group_sizes)
    inverse.push_back(size > 0 ? 1.0 / static_cast<double>(size) : 0);
  const auto options = x_TE.options().requires_grad(false);
  return at::zeros({input.num_groups, x_TE.size(1)}, options)
      .index_add(0, at::tensor(input.group_of_token, at::kLong).to(x_TE.device()), x_TE)
      .mul(at::tensor(inverse, options).unsqueeze(1));
}

}  // namespace

at::Tensor compute_load_balance_loss(const at::Tensor& load_share_GE,
                                     const at::Tensor& mean_probability_GE) {
  // every filled group has shares that sum to 1 or more
  const int64_t num_filled = load_share_GE.sum(1).gt(0.5).sum().item<int64_t>();
  const double scale = static_cast<double>(load_share_GE.size(1)) /
                       static_cast<double>(std::max<int64_t>(1, num_filled));
  return at::mul(load_share_GE, mean_probability_GE).sum().mul(scale);
}

void add_router_losses(ops::Routing& routing, const RouterInput& input, const at::Tensor& choice_TK,
                       BalanceCount count) {
  const std::vector<int64_t> group_sizes = count_group_sizes(input);
  routing.load_share_GE = count_load_share(input, choice_TK, group_sizes, count);
  routing.mean_probability_GE = average_by_group(input, routing.probabilities_TE, group_sizes);
  routing.load_balance_loss =
      compute_load_balance_loss(routing.load_share_GE, routing.mean_probability_GE);
  routing.z_loss = at::logsumexp(input.logits_TE, {1}).square().mean();
}

std::vector<nn::AuxiliaryLoss> reduce_over_layers(const std::vector<nn::AuxiliaryLoss>& losses,
                                                  LayerReduction reduction) {
  if (reduction == LayerReduction::Sum) return losses;
  // by name, and for pooling by stack; those of adapters have no factors and are a set of their own
  std::map<std::tuple<std::string, std::string, bool>, std::vector<const nn::AuxiliaryLoss*>> sets;
  for (const nn::AuxiliaryLoss& loss : losses) {
    const bool is_pooled = reduction == LayerReduction::Pooled;
    sets[{loss.name, is_pooled ? loss.layer.substr(0, loss.layer.find('.')) : "",
          loss.factors.empty()}]
        .push_back(&loss);
  }
  std::vector<nn::AuxiliaryLoss> reduced;
  for (const auto& [key, set] : sets) {
    const double inverse = 1.0 / static_cast<double>(set.size());
    if (reduction == LayerReduction::Pooled && set.front()->factors.size() == 2) {
      at::Tensor share_GE = set.front()->factors[0], probability_GE = set.front()->factors[1];
      for (size_t i = 1; i < set.size(); ++i) {
        share_GE = share_GE.add(set[i]->factors[0]);
        probability_GE = probability_GE.add(set[i]->factors[1]);
      }
      nn::AuxiliaryLoss pooled = *set.front();
      pooled.layer = std::get<1>(key);
      pooled.value = compute_load_balance_loss(share_GE.mul(inverse), probability_GE.mul(inverse));
      reduced.push_back(std::move(pooled));
      continue;
    }
    for (const nn::AuxiliaryLoss* loss : set) {
      reduced.push_back(*loss);
      reduced.back().coefficient *= inverse;
    }
  }
  return reduced;
}

}  // namespace flanmoe::moe
