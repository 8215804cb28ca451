// The feed-forward block of a T5 layer: one interface, dense here, sparse in moe.
//
// Shape letters: B rows, L length, D model, F feed-forward.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "nn/linear.h"

namespace flanmoe::nn {

struct FeedForwardOutput {
  at::Tensor output;    // [B, L, D]
  Auxiliary auxiliary;  // losses; empty for a dense block
};

class FeedForward {
 public:
  virtual ~FeedForward() = default;
  // x_BLD is normed already; the residual is added by the stack. Values at padding are unspecified
  // but finite.
  virtual FeedForwardOutput forward(const at::Tensor& x_BLD, const Context& context) const = 0;
  virtual void collect(Parameters& parameters) const = 0;
  virtual void collect_sites(Sites& sites) = 0;
};

// Makes the block of layer `layer`; `prefix` is that of its sublayer ("encoder.block.3.layer.1").
using MakeFeedForward =
    std::function<std::unique_ptr<FeedForward>(int64_t layer, const std::string& prefix)>;

struct FeedForwardConfig {
  int64_t d_model = 0;
  int64_t d_ff = 0;
  bool is_gated = true;     // gelu(wi_0 x) * (wi_1 x), else relu(wi x)
  double dropout_rate = 0;  // of the activated value
};

class DenseFeedForward final : public FeedForward {
 public:
  DenseFeedForward(const FeedForwardConfig& config, const std::string& prefix,
                   const at::TensorOptions& options);
  FeedForwardOutput forward(const at::Tensor& x_BLD, const Context& context) const override;
  void collect(Parameters& parameters) const override;
  void collect_sites(Sites& sites) override;

 private:
  FeedForwardConfig config_;
  std::string name_;
  uint64_t site_;
  Linear wi_0_;  // "wi" in the ungated form
  std::unique_ptr<Linear> wi_1_;
  Linear wo_;
  DeltaList activation_deltas_;
};

}  // namespace flanmoe::nn
