// MoV (arXiv 2309.05444): a mixture of (IA)3 vectors, averaged with the router's weights and then
// applied: y * (1 + sum_e p_e (l_e - 1)). As in the released code the router of keys and values
// looks at each head's own, with a kernel that the heads share. In stacked experts the mixture is
// shared by them.
#include "ops/merging.h"
#include "peft/kinds/kinds.h"
#include "peft/router.h"

namespace flanmoe::peft {
namespace {

class VectorMixture final : public nn::Delta {
 public:
  VectorMixture(at::Tensor vectors, MergingRouter router, int64_t num_heads, bool is_gated)
      : vectors_nW_(std::move(vectors)),
        router_(std::move(router)),
        num_heads_(num_heads),
        is_gated_(is_gated) {}
  at::Tensor apply(const at::Tensor& input, const at::Tensor& output,
                   const nn::DeltaCall& call) const override {
    if (router_.looks_at(RouterInput::Sentence) || router_.is_observed(call))
      return ops::scale_by_weights(output, router_.weigh(find_own(input, output), is_gated_, call),
                                   vectors_nW_, router_.has_top_k());
    if (router_.looks_at(RouterInput::Block))
      return ops::scale_by_mixture(output, vectors_nW_, router_.fused(call.block_input, false));
    return ops::scale_by_mixture(output, vectors_nW_,
                                 router_.fused(is_gated_ ? input : at::Tensor(), is_gated_),
                                 num_heads_);
  }

 private:
  // What the site's own router looks at: in the gated feed-forward block gelu of it.
  at::Tensor find_own(const at::Tensor& input, const at::Tensor& output) const {
    if (is_gated_) return input;
    if (num_heads_ == 1) return output;
    std::vector<int64_t> shape = output.sizes().vec();
    shape.back() = num_heads_;
    shape.push_back(output.size(-1) / num_heads_);
    return output.view(shape);
  }

  at::Tensor vectors_nW_;
  MergingRouter router_;
  int64_t num_heads_;
  bool is_gated_;
};

Made make(const ComponentConfig& config, const nn::Site& site, const MakeContext& make) {
  const nn::Parameter vectors =
      make.constant(site, "mov_l", {config.num_experts, site.out_dim}, 1, {.expert_axis = 0});
  MergingRouter router(config, site, site.out_dim / site.num_heads, make);
  const nn::Parameter kernel = router.parameter();
  const int64_t num_heads = router.looks_at(RouterInput::Site) ? site.num_heads : 1;
  const bool is_gated = site.kind == nn::SiteKind::Activation && site.is_gated;
  const double flops = static_cast<double>(num_heads) * router.flops_per_token() +
                       2.0 * static_cast<double>(vectors.tensor.numel());
  return {std::make_shared<VectorMixture>(vectors.tensor, std::move(router), num_heads, is_gated),
          {vectors, kernel},
          flops};
}

}  // namespace

Kind mov_kind() {
  return {{"k", "v", "act"},
          {nn::SiteKind::Projection, nn::SiteKind::Activation},
          {.router = true},
          make};
}

}  // namespace flanmoe::peft
