// Sparse upcycling (Komatsuzaki et al., arXiv 2212.05055): some feed-forward layers become MoE
// layers whose experts are made from the dense block; routers start from a normal distribution;
// everything else is copied (facts.md items 83 to 86).
#pragma once

#include <string>

#include "checkpoint/named_tensors.h"
#include "model/model.h"
#include "model/placement.h"

namespace flanmoe::convert {

// What an expert starts from, in this order: the dense block, or a slice of it; some of its hidden
// units drawn anew; noise. All random numbers are functions of (seed, parameter, expert, element).
struct UpcycleConfig : model::SparseLayers {
  // g > 1, fine-grained experts (arXiv 2410.07524): expert e has hidden units [s w, (s + 1) w) of
  // the dense block, s = e % g, w = d_ff / g, and its output matrix times g; experts c g to
  // (c + 1) g - 1 are a virtual group with equal router rows. A router that chooses whole groups
  // (k a multiple of g) starts from the dense block's output times the gate mass, as with g = 1.
  int64_t slices = 1;
  // Drop-upcycling (arXiv 2502.19261): of every expert this share of hidden units, other ones for
  // each, gets rows of wi and columns of wo from normal(mean, std) of the weights they had.
  double reinitialised_fraction = 0;
  // Every weight matrix of an expert gets normal(0, expert_noise * its root mean square) added: its
  // relative distance from the copy is expert_noise.
  double expert_noise = 0;
  double router_init_std = 0.02;
  // The optimizer's state that the dense model's folder has (train.keeps_optimizer_state) is
  // mapped: every expert has that of the dense block, routers begin anew. Of folders only.
  bool carries_optimizer_state = false;
  int64_t seed = 0;
  template <class Visitor>
  void visit(Visitor& v) {
    SparseLayers::visit(v);
    v("slices", slices, "experts that a copy of the dense block is cut into (1: whole copies)");
    v("reinitialised_fraction", reinitialised_fraction,
      "share of every expert's hidden units that is drawn anew (drop-upcycling)");
    v("expert_noise", expert_noise,
      "noise on every expert's weights, relative to their root mean square");
    v("router_init_std", router_init_std, "standard deviation of the router's initial weights");
    v("carries_optimizer_state", carries_optimizer_state,
      "the optimizer's state is mapped too, for train.starts_from_optimizer_state");
    v("seed", seed, "seed of all that is drawn");
  }
};

// Config of the result, without weights. Throws InvalidArgument where the model is sparse already
// or no layer would become sparse, InvalidConfig where an option cannot be.
model::ModelConfig upcycled_config(const model::ModelConfig& dense, const UpcycleConfig& config);

// With combine weights normalised, nothing dropped, whole groups chosen and nothing drawn anew, the
// result computes the same function as `dense`.
model::Model upcycle(const model::Model& dense, const UpcycleConfig& config);

struct FolderOptions {
  at::ScalarType dtype = at::kFloat;  // of the weights written; routers and norms: at least fp32
  int64_t max_shard_bytes = checkpoint::kMaxShardBytes;
};
// The same from folder to folder, byte for byte what save_model() makes of the model above, but
// with a few tensors in memory at a time. `out` appears whole or not at all. Throws Interrupted on
// Ctrl-C. Returns the config of the result.
model::ModelConfig upcycle_folder(const std::string& dense_folder, const std::string& out,
                                  const UpcycleConfig& config, const FolderOptions& options = {});

}  // namespace flanmoe::convert
