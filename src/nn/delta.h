// What adapters hang onto the sites of a model: the projections, the activated value of a
// feed-forward block, the norms.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nn/context.h"

namespace flanmoe::nn {

// Whose the values of a site inside stacked experts are: assignments (a token at an expert), sorted
// by expert.
struct ExpertValues {
  std::vector<int64_t> expert_offsets;  // as in ops::Routing
  at::Tensor row_A;                     // int64: the row of the batch that its token is in
  TokenLayout tokens;                   // of the assignments as one row of length A
};

// What a delta may look at besides the values that it changes.
struct DeltaCall {
  const Context& context;
  // Of the values: the context's own, or in cross-attention those of the memory for keys and
  // values. Already those of `rows_R`.
  const TokenLayout& tokens;
  // [..., D], what the sublayer was given (normed): the "block" that a router may look at. In
  // cross-attention the memory for keys and values.
  at::Tensor block_input;
  // Rows of the batch that use the adapter, int64, rising; undefined: all. `input` and `output`
  // hold these rows alone.
  at::Tensor rows_R;
  // Sites inside experts: the values are rows of assignments, sorted by expert.
  const ExpertValues* experts = nullptr;
};

// One component of one adapter at one site: LoRA, (IA)3, MoV, MoLoRA, a tuned norm.
class Delta {
 public:
  virtual ~Delta() = default;
  // `input` [B, L, in] and `output` [B, L, out] of the site, in the compute dtype; returns the new
  // output, same shape and dtype. For an activated value `output` is that value, in the gated form
  // times wi_1 x (scaling is the same for both), and `input` what gelu is applied to (gated), or
  // the value. For an embedding `input` is the token ids [B, L]. At sites inside experts values are
  // [A, in] and [A, out].
  virtual at::Tensor apply(const at::Tensor& input, const at::Tensor& output,
                           const DeltaCall& call) const = 0;
};

// The deltas of all adapters at one site.
class DeltaList {
 public:
  // Several of one adapter are applied in the order they came.
  void attach(int64_t adapter, std::shared_ptr<const Delta> delta);
  void detach(int64_t adapter);
  bool empty() const { return deltas_.empty(); }
  // Applies those of `context.adapters`, each to its rows. `block_input` undefined: the input.
  at::Tensor apply(const at::Tensor& input, at::Tensor output, const TokenLayout* tokens,
                   const at::Tensor& block_input, const Context& context) const;
  // The same inside experts: values are [A, ...].
  at::Tensor apply_to_experts(const at::Tensor& input, at::Tensor output,
                              const ExpertValues& experts, const at::Tensor& block_input,
                              const Context& context) const;

 private:
  struct Attached {
    int64_t adapter;
    std::shared_ptr<const Delta> delta;
  };
  std::vector<Attached> deltas_;
};

enum class SiteKind { Projection, Activation, Norm, Embedding };

// A place of a model where an adapter may change what is computed.
struct Site {
  // As transformers names the module: "encoder.block.0.layer.0.SelfAttention.k",
  // "encoder.block.0.layer.1.DenseReluDense.act" (the activated value, before the product with
  // wi_1), "encoder.block.0.layer.0.layer_norm", "encoder.block.1.layer.1.mlp.experts.wi_0"; the
  // encoder's embedding is "shared".
  std::string name;
  SiteKind kind = SiteKind::Projection;
  int64_t in_dim = 0, out_dim = 0;  // in_dim of a projection; equal for the other kinds
  int64_t num_heads = 1;            // that out_dim is split into: q, k, v
  int64_t block_dim = 0;            // of DeltaCall::block_input
  at::Tensor weight;                // the base's, [out, in], in experts [E, out, in], of a norm
                                    // [D], of the embedding [V, D]; undefined: Activation
  double epsilon = 0;               // of a norm
  bool is_gated = false;            // Activation: Delta::apply
  int64_t num_experts = 0;          // stacked ones that the site is inside of; 0: none
  std::function<void(int64_t adapter, std::shared_ptr<const Delta>)> attach;
  std::function<void(int64_t adapter)> detach;
};
using Sites = std::vector<Site>;

// Fills in the functions of a site that has `deltas`, which must outlive it.
void connect(Site& site, DeltaList& deltas);

}  // namespace flanmoe::nn
