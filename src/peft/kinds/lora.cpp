// LoRA (arXiv 2106.09685): y + alpha / r (x A^T) B^T.
#include <ATen/ops/add.h>

#include "ops/transformer.h"
#include "peft/kinds/kinds.h"

namespace flanmoe::peft {
namespace {

class LowRank final : public nn::Delta {
 public:
  LowRank(at::Tensor a, at::Tensor b, double scale, double dropout_rate, uint64_t noise_site)
      : a_RI_(std::move(a)),
        b_OR_(std::move(b)),
        scale_(scale),
        dropout_rate_(dropout_rate),
        noise_site_(noise_site) {}
  at::Tensor apply(const at::Tensor& input, const at::Tensor& output,
                   const nn::DeltaCall& call) const override {
    const at::ScalarType dtype = output.scalar_type();
    at::Tensor x = input;
    if (call.context.is_training && dropout_rate_ > 0)
      x = ops::dropout(x, dropout_rate_,
                       {call.context.noise_key(RandomPurpose::Dropout, noise_site_).state(),
                        call.tokens.token_keys_BL});
    const at::Tensor z = ops::linear(x, {a_RI_.detach().to(dtype), a_RI_});
    return at::add(output, ops::linear(z, {b_OR_.detach().to(dtype), b_OR_}), scale_);
  }

 private:
  at::Tensor a_RI_, b_OR_;
  double scale_, dropout_rate_;
  uint64_t noise_site_;
};

Made make(const ComponentConfig& config, const nn::Site& site, const MakeContext& make) {
  const int64_t rank = config.rank;
  nn::Parameter a = make.normal(site, "lora_A.weight", {rank, site.in_dim}, 0.02,
                                {.is_multiplied = true}),
                b = make.constant(site, "lora_B.weight", {site.out_dim, rank}, 0,
                                  {.is_multiplied = true});
  return {std::make_shared<LowRank>(a.tensor, b.tensor, config.alpha / static_cast<double>(rank),
                                    config.dropout_rate, nn::noise_site(site.name + ".lora")),
          {a, b},
          2.0 * static_cast<double>(rank * (site.in_dim + site.out_dim))};
}

}  // namespace

Kind lora_kind() {
  return {{"q", "k", "v", "o", "wi", "wi_0", "wo"}, {nn::SiteKind::Projection}, make};
}

}  // namespace flanmoe::peft
