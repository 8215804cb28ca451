#include "peft/low_rank.h"

#include "ops/transformer.h"

namespace flanmoe::peft {

ops::WeightView Factor::as(at::ScalarType dtype) const {
  const auto derive = [&] {
    at::Tensor values = master_.detach();
    if (side_ == Side::B && values.dim() == 3) values = values.permute({1, 0, 2});
    if (values.dim() == 3)
      values = side_ == Side::A ? values.reshape({-1, values.size(2)})
                                : values.reshape({values.size(0), -1});
    return values.to(dtype).contiguous();
  };
  return {matrix_.get(master_, dtype, derive), master_};
}

FactorParameters make_factors(const ComponentConfig& config, const nn::Site& site,
                              int64_t num_groups, const MakeContext& make) {
  std::vector<int64_t> a_shape{config.rank, site.in_dim}, b_shape{site.out_dim, config.rank};
  nn::ParameterTags tags{.is_multiplied = true};
  if (num_groups > 0) {
    a_shape.insert(a_shape.begin(), num_groups);
    b_shape.insert(b_shape.begin(), num_groups);
    tags.expert_axis = 0;
  }
  return {make.normal(site, "lora_A.weight", a_shape, 0.02, tags),
          make.constant(site, "lora_B.weight", b_shape, 0, tags)};
}

at::Tensor InputDropout::apply(const at::Tensor& x, const nn::DeltaCall& call) const {
  if (!call.context.is_training || rate_ == 0) return x;
  return ops::dropout(x, rate_,
                      {call.context.noise_key(RandomPurpose::Dropout, noise_site_).state(),
                       call.tokens.token_keys_BL});
}

}  // namespace flanmoe::peft
