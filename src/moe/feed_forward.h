// The sparse feed-forward block: router, dispatch, experts, combine.
//
// Shape letters: B rows, L length, N real tokens, E experts, F feed-forward, D model.
#pragma once

#include "moe/config.h"
#include "moe/router.h"
#include "nn/feed_forward.h"

namespace flanmoe::moe {

// Experts have the form of a dense block of the same FeedForwardConfig and are stored stacked:
// wi_0, wi_1 (or wi) [E, F, D], wo [E, D, F]. Padding is never routed and gets 0; so does a token
// that no expert serves (the residual carries it). Router arithmetic is at least fp32.
class FeedForward final : public nn::FeedForward {
 public:
  FeedForward(const nn::FeedForwardConfig& block, const Config& config, const std::string& prefix,
              const at::TensorOptions& options);
  nn::FeedForwardOutput forward(const at::Tensor& x_BLD, const nn::Context& context) const override;
  void collect(nn::Parameters& parameters) const override;

 private:
  at::Tensor run_experts(const at::Tensor& x_AD, const ops::Routing& routing,
                         const at::Tensor& token_keys_A, const nn::Context& context) const;

  nn::FeedForwardConfig block_;
  Config config_;
  std::string prefix_, name_;
  uint64_t site_;
  std::unique_ptr<Router> router_;
  at::Tensor classifier_ED_;
  nn::Weight wi_0_EFD_, wi_1_EFD_, wo_EDF_;
};

}  // namespace flanmoe::moe
