// (IA)3 (arXiv 2205.05638): keys, values and the activated feed-forward value times a vector.
#include <ATen/ops/mul.h>

#include "peft/kinds/kinds.h"

namespace flanmoe::peft {
namespace {

class Scale final : public nn::Delta {
 public:
  explicit Scale(at::Tensor vector) : vector_(std::move(vector)) {}
  at::Tensor apply(const at::Tensor&, const at::Tensor& output,
                   const nn::DeltaCall&) const override {
    return at::mul(output, vector_.to(output.scalar_type()));
  }

 private:
  at::Tensor vector_;
};

Made make(const ComponentConfig&, const nn::Site& site, const MakeContext& make) {
  nn::Parameter vector = make.constant(site, "ia3_l", {site.out_dim}, 1);
  return {std::make_shared<Scale>(vector.tensor), {vector}, 0};
}

}  // namespace

Kind ia3_kind() {
  return {{"k", "v", "act"}, {nn::SiteKind::Projection, nn::SiteKind::Activation}, make};
}

}  // namespace flanmoe::peft
