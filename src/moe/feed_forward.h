// The sparse feed-forward block: router, dispatch, experts, combine.
//
// Shape letters: B rows, L length, N routed tokens, E experts, F feed-forward, D model, A
// assignments.
#pragma once

#include "moe/config.h"
#include "moe/router.h"
#include "nn/feed_forward.h"

namespace flanmoe::moe {

// Experts have the form of a dense block of the same FeedForwardConfig, where Config says nothing
// else, and are stored stacked: wi_0, wi_1 (or wi) [E, F, D], wo [E, D, F]. Padding is never routed
// and gets 0, unless Config::padding counts it; a token that no expert serves gets 0 (the residual
// carries it). Router arithmetic is at least fp32.
class FeedForward final : public nn::FeedForward {
 public:
  FeedForward(const nn::FeedForwardConfig& block, const Config& config, const std::string& prefix,
              bool is_causal, const at::TensorOptions& options);
  nn::FeedForwardOutput forward(const at::Tensor& x_BLD, const nn::Context& context) const override;
  void collect(nn::Parameters& parameters) const override;
  void collect_sites(nn::Sites& sites) override;
  // The router alone, on tokens x_ND of a layout without padding, without jitter.
  ops::Routing route(const at::Tensor& x_ND, const nn::Context& context) const;

 private:
  at::Tensor to_router_input(const at::Tensor& x_ND) const;
  RouterInput make_router_input(const at::Tensor& router_input_ND, const at::Tensor& index_N,
                                const at::Tensor& token_keys_N, const nn::Context& context) const;
  at::Tensor run_experts(const at::Tensor& x_AD, const ops::Routing& routing,
                         const at::Tensor& index_N, const at::Tensor& token_keys_A,
                         const nn::Context& context) const;
  bool is_adapted(const nn::Context& context) const;

  nn::FeedForwardConfig expert_;
  Config config_;
  std::string prefix_, name_;
  bool is_causal_;
  uint64_t site_;
  std::unique_ptr<Router> router_;
  at::Tensor classifier_ED_;  // undefined where the router learns nothing
  nn::Weight wi_0_EFD_, wi_1_EFD_, wo_EDF_;
  nn::DeltaList wi_0_deltas_, wi_1_deltas_, activation_deltas_, wo_deltas_;
};

// The form of an expert in place of `dense`.
nn::FeedForwardConfig expert_config(const nn::FeedForwardConfig& dense, const Config& config);

}  // namespace flanmoe::moe
