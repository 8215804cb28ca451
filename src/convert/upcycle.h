// Sparse upcycling (Komatsuzaki et al., arXiv 2212.05055): every `every`-th feed-forward layer
// becomes an MoE layer whose experts are plain copies of the dense block; the router starts from
// normal(0, 0.02); everything else is copied (facts.md items 83 to 86).
#pragma once

#include "model/model.h"

namespace flanmoe::convert {

struct UpcycleConfig {
  moe::Config moe;
  moe::Config decoder_moe = moe::decoder_default(moe);
  int64_t every = 2;  // layer i is sparse iff i % every == every - 1
  bool is_encoder_sparse = true;
  bool is_decoder_sparse = true;
  double router_init_std = 0.02;
  int64_t seed = 0;
  template <class Visitor>
  void visit(Visitor& v) {
    v("moe", moe, "the encoder's sparse layers, and what the decoder's start from");
    if (was_given(v, "moe")) decoder_moe = moe::decoder_default(moe);
    v("decoder_moe", decoder_moe, "the decoder's sparse layers");
    v("every", every, "every n-th feed-forward layer becomes sparse (2: layers 1, 3, 5, ...)");
    v("is_encoder_sparse", is_encoder_sparse, "the encoder gets sparse layers");
    v("is_decoder_sparse", is_decoder_sparse, "the decoder gets sparse layers");
    v("router_init_std", router_init_std, "standard deviation of the router's initial weights");
    v("seed", seed, "seed of the router's initial weights");
  }
};

// Config of the result, without weights. Throws InvalidArgument where the model is sparse already
// or no layer would become sparse.
model::ModelConfig upcycled_config(const model::ModelConfig& dense, const UpcycleConfig& config);
// With combine weights normalised and nothing dropped, the result computes the same function as
// `dense`.
model::Model upcycle(const model::Model& dense, const UpcycleConfig& config);

}  // namespace flanmoe::convert
