// Tuned norms, a cheap baseline in the manner of BitFit (arXiv 2106.10199; T5 has no biases): a
// copy of every RMS norm's weight in place of the base's.
#include "ops/transformer.h"
#include "peft/kinds/kinds.h"

namespace flanmoe::peft {
namespace {

class Norm final : public nn::Delta {
 public:
  Norm(at::Tensor weight, double epsilon) : weight_D_(std::move(weight)), epsilon_(epsilon) {}
  at::Tensor apply(const at::Tensor& input, const at::Tensor&,
                   const nn::DeltaCall&) const override {
    return ops::rms_norm(input, weight_D_, epsilon_);
  }

 private:
  at::Tensor weight_D_;
  double epsilon_;
};

Made make(const ComponentConfig&, const nn::Site& site, const MakeContext& make) {
  nn::Parameter weight = make.copy(site, "weight", site.weight, {.is_norm = true});
  return {std::make_shared<Norm>(weight.tensor, site.epsilon), {weight}, 0};
}

}  // namespace

Kind norm_kind() {
  return {{"layer_norm", "final_layer_norm"}, {nn::SiteKind::Norm}, {}, make};
}

}  // namespace flanmoe::peft
