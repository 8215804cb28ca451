// LoRA (arXiv 2106.09685): y + alpha / r (x A^T) B^T. In stacked experts every expert has its own
// pair.
#include <ATen/ops/add.h>

#include "nn/linear.h"
#include "ops/merging.h"
#include "ops/routing.h"
#include "peft/kinds/kinds.h"
#include "peft/low_rank.h"

namespace flanmoe::peft {
namespace {

class LowRank final : public nn::Delta {
 public:
  LowRank(at::Tensor a, at::Tensor b, double scale, InputDropout dropout)
      : a_(std::move(a), Factor::Side::A),
        b_(std::move(b), Factor::Side::B),
        scale_(scale),
        dropout_(dropout) {}
  at::Tensor apply(const at::Tensor& input, const at::Tensor& output,
                   const nn::DeltaCall& call) const override {
    const at::ScalarType dtype = output.scalar_type();
    return ops::add_low_rank(output, dropout_.apply(input, call), a_.as(dtype), b_.as(dtype),
                             scale_);
  }

 private:
  Factor a_, b_;
  double scale_;
  InputDropout dropout_;
};

class ExpertLowRank final : public nn::Delta {
 public:
  ExpertLowRank(at::Tensor a, at::Tensor b, double scale, InputDropout dropout)
      : a_ERI_(std::move(a)), b_EOR_(std::move(b)), scale_(scale), dropout_(dropout) {}
  at::Tensor apply(const at::Tensor& input, const at::Tensor& output,
                   const nn::DeltaCall& call) const override {
    const at::ScalarType dtype = output.scalar_type();
    const std::vector<int64_t>& offsets = call.experts->expert_offsets;
    const at::Tensor z =
        ops::grouped_matmul(dropout_.apply(input, call), a_ERI_.as(dtype), offsets).mul(scale_);
    return at::add(output, ops::grouped_matmul(z, b_EOR_.as(dtype), offsets));
  }

 private:
  nn::Weight a_ERI_, b_EOR_;
  double scale_;
  InputDropout dropout_;
};

Made make(const ComponentConfig& config, const nn::Site& site, const MakeContext& make) {
  const auto [a, b] = make_factors(config, site, site.num_experts, make);
  const double scale = config.alpha / static_cast<double>(config.rank);
  const InputDropout dropout(config.dropout_rate, site.name);
  std::shared_ptr<const nn::Delta> delta;
  if (site.num_experts > 0)
    delta = std::make_shared<ExpertLowRank>(a.tensor, b.tensor, scale, dropout);
  else
    delta = std::make_shared<LowRank>(a.tensor, b.tensor, scale, dropout);
  return {std::move(delta),
          {a, b},
          2.0 * static_cast<double>(config.rank * (site.in_dim + site.out_dim))};
}

}  // namespace

Kind lora_kind() {
  return {
      {"q", "k", "v", "o", "wi", "wi_0", "wo"}, {nn::SiteKind::Projection}, {.rank = true}, make};
}

}  // namespace flanmoe::peft
