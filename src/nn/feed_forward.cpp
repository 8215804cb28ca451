#include "nn/feed_forward.h"

#include "ops/transformer.h"

namespace flanmoe::nn {

DenseFeedForward::DenseFeedForward(const FeedForwardConfig& config, const std::string& prefix,
                                   const at::TensorOptions& options)
    : config_(config),
      name_(prefix + ".DenseReluDense"),
      site_(noise_site(name_)),
      wi_0_(config.d_model, config.d_ff, options),
      wi_1_(config.is_gated ? std::make_unique<Linear>(config.d_model, config.d_ff, options)
                            : nullptr),
      wo_(config.d_ff, config.d_model, options) {}

FeedForwardOutput DenseFeedForward::forward(const at::Tensor& x_BLD, const Context& context) const {
  const at::Tensor gate = wi_0_.forward(x_BLD, context);
  at::Tensor hidden =
      wi_1_ ? ops::gated_gelu(gate, wi_1_->forward(x_BLD, context)) : ops::relu(gate);
  hidden = activation_deltas_.apply(wi_1_ ? gate : hidden, hidden, context.tokens, x_BLD, context);
  if (context.is_training)
    hidden = ops::dropout(
        hidden, context.regularisation.dropout_rate.value_or(config_.dropout_rate),
        {context.noise_key(RandomPurpose::Dropout, site_).state(), context.tokens->token_keys_BL});
  return {wo_.forward(hidden, context, nullptr, x_BLD), {}};
}

void DenseFeedForward::collect(Parameters& parameters) const {
  wi_0_.collect(name_ + (wi_1_ ? ".wi_0" : ".wi"), parameters);
  if (wi_1_) wi_1_->collect(name_ + ".wi_1", parameters);
  wo_.collect(name_ + ".wo", parameters);
}

void DenseFeedForward::collect_sites(Sites& sites) {
  sites.push_back(wi_0_.site(name_ + (wi_1_ ? ".wi_0" : ".wi"), config_.d_model));
  Site activated{name_ + ".act", SiteKind::Activation, config_.d_ff, config_.d_ff, 1,
                 config_.d_model};
  activated.is_gated = wi_1_ != nullptr;
  connect(activated, activation_deltas_);
  sites.push_back(std::move(activated));
  if (wi_1_) sites.push_back(wi_1_->site(name_ + ".wi_1", config_.d_model));
  sites.push_back(wo_.site(name_ + ".wo", config_.d_model));
}

}  // namespace flanmoe::nn
