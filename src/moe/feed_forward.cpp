#include "moe/feed_forward.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>

#include "ops/transformer.h"

namespace flanmoe::moe {

FeedForward::FeedForward(const nn::FeedForwardConfig& block, const Config& config,
                         const std::string& prefix, const at::TensorOptions& options)
    : block_(block),
      config_(config),
      prefix_(prefix),
      name_(prefix + ".mlp"),
      site_(nn::noise_site(name_)),
      router_(make_router(config)),
      classifier_ED_(at::empty({config.num_experts, block.d_model}, nn::at_least_float(options))
                         .requires_grad_(true)),
      wi_0_EFD_(
          at::empty({config.num_experts, block.d_ff, block.d_model}, options).requires_grad_(true)),
      wo_EDF_(at::empty({config.num_experts, block.d_model, block.d_ff}, options)
                  .requires_grad_(true)) {
  if (block.is_gated)
    wi_1_EFD_ = nn::Weight(
        at::empty({config.num_experts, block.d_ff, block.d_model}, options).requires_grad_(true));
}

nn::FeedForwardOutput FeedForward::forward(const at::Tensor& x_BLD,
                                           const nn::Context& context) const {
  const nn::TokenLayout& tokens = *context.tokens;
  const int64_t num_tokens = tokens.num_rows * tokens.length;
  at::Tensor x_ND = x_BLD.reshape({num_tokens, block_.d_model});
  at::Tensor token_keys_N = tokens.token_keys_BL.reshape(-1);
  if (tokens.has_padding) {
    x_ND = at::index_select(x_ND, 0, tokens.real_index_N);
    token_keys_N = at::index_select(token_keys_N, 0, tokens.real_index_N);
  }

  at::Tensor router_input_ND = x_ND.to(classifier_ED_.scalar_type());
  if (context.is_training && config_.jitter > 0)
    router_input_ND =
        ops::jitter(router_input_ND, config_.jitter,
                    {context.noise_key(RandomPurpose::RouterJitter, site_).state(), token_keys_N});
  RouterInput input;
  input.logits_TE = at::linear(router_input_ND, classifier_ED_);
  input.is_training = context.is_training;
  if (config_.group == RoutingGroup::Sequence) {
    const at::Tensor real_index_N = tokens.real_index_N.to(at::kCPU);
    const int64_t* index = real_index_N.const_data_ptr<int64_t>();
    const at::Tensor segments = tokens.segment_ids_BL.to(at::kCPU).contiguous();
    const int64_t* segment = segments.const_data_ptr<int64_t>();
    int64_t group = -1, last_row = -1, last_segment = -1;
    for (int64_t i = 0; i < real_index_N.size(0); ++i) {
      const int64_t row = index[i] / tokens.length;
      if (row != last_row || segment[index[i]] != last_segment) ++group;
      last_row = row;
      last_segment = segment[index[i]];
      input.group_of_token.push_back(group);
    }
    input.num_groups = group + 1;
  }

  const ops::Routing routing = router_->route(input);
  if (context.routing_sink) context.routing_sink->record(prefix_, routing);

  const at::Tensor token_keys_A =
      context.is_training ? at::index_select(token_keys_N, 0, routing.token_index_A) : at::Tensor();
  const at::Tensor expert_output_AD =
      run_experts(ops::dispatch(x_ND, routing), routing, token_keys_A, context);
  at::Tensor output = ops::combine(expert_output_AD, routing);
  if (tokens.has_padding)
    output = at::zeros({num_tokens, block_.d_model}, output.options())
                 .index_copy(0, tokens.real_index_N, output);

  nn::FeedForwardOutput result{output.view({tokens.num_rows, tokens.length, block_.d_model}), {}};
  if (context.is_training) {
    if (routing.load_balance_loss.defined())
      result.auxiliary.losses.push_back({"load_balance_loss", prefix_, routing.load_balance_loss,
                                         config_.load_balance_coefficient});
    if (routing.z_loss.defined())
      result.auxiliary.losses.push_back(
          {"z_loss", prefix_, routing.z_loss, config_.z_loss_coefficient});
  }
  return result;
}

at::Tensor FeedForward::run_experts(const at::Tensor& x_AD, const ops::Routing& routing,
                                    const at::Tensor& token_keys_A,
                                    const nn::Context& context) const {
  const at::ScalarType dtype = context.compute_dtype;
  at::Tensor hidden_AF = ops::grouped_matmul(x_AD, wi_0_EFD_.as(dtype), routing.expert_offsets);
  hidden_AF = block_.is_gated
                  ? ops::gated_gelu(hidden_AF, ops::grouped_matmul(x_AD, wi_1_EFD_.as(dtype),
                                                                   routing.expert_offsets))
                  : ops::relu(hidden_AF);
  if (context.is_training)
    hidden_AF =
        ops::dropout(hidden_AF, config_.expert_dropout_rate,
                     {context.noise_key(RandomPurpose::Dropout, site_).state(), token_keys_A});
  return ops::grouped_matmul(hidden_AF, wo_EDF_.as(dtype), routing.expert_offsets);
}

void FeedForward::collect(nn::Parameters& parameters) const {
  parameters.push_back({name_ + ".router.classifier.weight", classifier_ED_, {.is_router = true}});
  parameters.push_back({name_ + (block_.is_gated ? ".experts.wi_0.weight" : ".experts.wi.weight"),
                        wi_0_EFD_.master(),
                        {.expert_axis = 0}});
  if (block_.is_gated)
    parameters.push_back({name_ + ".experts.wi_1.weight", wi_1_EFD_.master(), {.expert_axis = 0}});
  parameters.push_back({name_ + ".experts.wo.weight", wo_EDF_.master(), {.expert_axis = 0}});
}

}  // namespace flanmoe::moe
