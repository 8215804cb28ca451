// MoLoRA (arXiv 2309.05444): y + alpha / r sum_e p_e(x) (x A_e^T) B_e^T, the experts' outputs mixed
// by a router of every site. In stacked experts the mixture is shared by them.
#include "ops/merging.h"
#include "peft/kinds/kinds.h"
#include "peft/low_rank.h"
#include "peft/router.h"

namespace flanmoe::peft {
namespace {

class LowRankMixture final : public nn::Delta {
 public:
  LowRankMixture(at::Tensor a, at::Tensor b, MergingRouter router, double scale,
                 InputDropout dropout)
      : a_(std::move(a), Factor::Side::A),
        b_(std::move(b), Factor::Side::B),
        router_(std::move(router)),
        scale_(scale),
        dropout_(dropout) {}
  at::Tensor apply(const at::Tensor& input, const at::Tensor& output,
                   const nn::DeltaCall& call) const override {
    const at::ScalarType dtype = output.scalar_type();
    return ops::add_low_rank(output, dropout_.apply(input, call), a_.as(dtype), b_.as(dtype),
                             scale_, router_.weigh(input, false, call));
  }

 private:
  Factor a_, b_;
  MergingRouter router_;
  double scale_;
  InputDropout dropout_;
};

Made make(const ComponentConfig& config, const nn::Site& site, const MakeContext& make) {
  const auto [a, b] = make_factors(config, site, config.num_experts, make);
  MergingRouter router(config, site, site.in_dim, make);
  const nn::Parameter kernel = router.parameter();
  const double flops =
      router.flops_per_token() +
      2.0 * static_cast<double>(config.num_experts * config.rank * (site.in_dim + site.out_dim));
  return {std::make_shared<LowRankMixture>(a.tensor, b.tensor, std::move(router),
                                           config.alpha / static_cast<double>(config.rank),
                                           InputDropout(config.dropout_rate, site.name)),
          {a, b, kernel},
          flops};
}

}  // namespace

Kind molora_kind() {
  return {{"q", "k", "v", "o", "wi", "wi_0", "wo"},
          {nn::SiteKind::Projection},
          {.rank = true, .router = true},
          make};
}

}  // namespace flanmoe::peft
