#include "nn/feed_forward.h"

#include <ATen/ops/mul.h>

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
  at::Tensor hidden = wi_0_.forward(x_BLD, context);
  if (!wi_1_) {
    hidden = ops::relu(hidden);
    if (activation_delta_) hidden = activation_delta_->apply(hidden, context);
  } else if (activation_delta_) {
    hidden = at::mul(activation_delta_->apply(ops::gelu(hidden), context),
                     wi_1_->forward(x_BLD, context));
  } else {
    hidden = ops::gated_gelu(hidden, wi_1_->forward(x_BLD, context));
  }
  if (context.is_training)
    hidden = ops::dropout(
        hidden, context.regularisation.dropout_rate.value_or(config_.dropout_rate),
        {context.noise_key(RandomPurpose::Dropout, site_).state(), context.tokens->token_keys_BL});
  return {wo_.forward(hidden, context), {}};
}

void DenseFeedForward::collect(Parameters& parameters) const {
  wi_0_.collect(name_ + (wi_1_ ? ".wi_0" : ".wi"), parameters);
  if (wi_1_) wi_1_->collect(name_ + ".wi_1", parameters);
  wo_.collect(name_ + ".wo", parameters);
}

}  // namespace flanmoe::nn
