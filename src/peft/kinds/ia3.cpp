// (IA)3 (arXiv 2205.05638): keys, values and the activated feed-forward value times a vector. In
// stacked experts every expert has its own.
#include <ATen/ops/index_select.h>
#include <ATen/ops/mul.h>

#include "ops/merging.h"
#include "peft/expert_index.h"
#include "peft/kinds/kinds.h"

namespace flanmoe::peft {
namespace {

class Scale final : public nn::Delta {
 public:
  explicit Scale(at::Tensor vector) : vector_(std::move(vector)) {}
  at::Tensor apply(const at::Tensor&, const at::Tensor& output,
                   const nn::DeltaCall& call) const override {
    if (!call.experts) return ops::scale(output, vector_);
    const at::Tensor of_rows =
        at::index_select(vector_, 0, expert_of_row(*call.experts, vector_.device()));
    return at::mul(output, of_rows.to(output.scalar_type()));
  }

 private:
  at::Tensor vector_;  // [W], in experts [E, W]
};

Made make(const ComponentConfig&, const nn::Site& site, const MakeContext& make) {
  const bool is_expert = site.num_experts > 0;
  const std::vector<int64_t> shape = is_expert
                                         ? std::vector<int64_t>{site.num_experts, site.out_dim}
                                         : std::vector<int64_t>{site.out_dim};
  nn::Parameter vector =
      make.constant(site, "ia3_l", shape, 1, {.expert_axis = is_expert ? 0 : -1});
  return {std::make_shared<Scale>(vector.tensor), {vector}, 0};
}

}  // namespace

Kind ia3_kind() {
  return {{"k", "v", "act"}, {nn::SiteKind::Projection, nn::SiteKind::Activation}, {}, make};
}

}  // namespace flanmoe::peft
