// The router of a soft mixture: which share every expert has in what a token's adapter is.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>

#include "ops/merging.h"
#include "peft/registry.h"

namespace flanmoe::peft {

// weights = softmax(W x) over n experts, no bias, at least fp32; with top_k the k largest as they
// are, the others 0. Every site has its own.
class MergingRouter {
 public:
  // `input_dim`, `num_heads`: of what it looks at where that is the site's own. A new kernel
  // `SITE.router.weight` [n, K] is normal(0, router_init_std).
  MergingRouter(const ComponentConfig& config, const nn::Site& site, int64_t input_dim,
                const MakeContext& make);

  const nn::Parameter& parameter() const { return parameter_; }
  bool looks_at(RouterInput input) const { return input_ == input; }
  bool has_top_k() const { return top_k_ > 0; }
  // Whether somebody wants to see the weights, or a loss of them: then fused() will not do.
  bool is_observed(const nn::DeltaCall& call) const;
  // For ops::scale_by_mixture(), where `input` is what it looks at (undefined: the values).
  ops::MergingRouter fused(const at::Tensor& input, bool applies_gelu) const;
  // [..., n] for `input` [..., K], the site's own; tells the sink, and adds the load-balance loss n
  // sum_i f_i P_i where one is asked for: f the share of real tokens of whose top_k choices (1 for
  // soft merging) expert i is one, P its mean weight over them before any is left out.
  at::Tensor weigh(const at::Tensor& input, bool applies_gelu, const nn::DeltaCall& call) const;
  double flops_per_token() const;

 private:
  at::Tensor weigh_sentences(const nn::DeltaCall& call) const;
  void add_loss(const at::Tensor& weights, const nn::DeltaCall& call) const;

  std::string site_;
  RouterInput input_;
  int64_t num_experts_, top_k_;
  double load_balance_coefficient_;
  nn::Parameter parameter_;
};

}  // namespace flanmoe::peft
