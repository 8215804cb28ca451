#include "moe/feed_forward.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/floor_divide.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>

#include "base/error.h"
#include "moe/groups.h"
#include "ops/transformer.h"

namespace flanmoe::moe {

namespace {

// Whose the rows of the experts are. `index_N`: flattened positions of the routed tokens.
nn::ExpertValues describe_assignments(const ops::Routing& routing, const at::Tensor& index_N,
                                      const nn::TokenLayout& tokens) {
  const at::Tensor position_A = at::index_select(index_N, 0, routing.token_index_A);
  const auto select = [&](const at::Tensor& values_BL) {
    return at::index_select(values_BL.reshape(-1), 0, position_A).unsqueeze(0);
  };
  nn::ExpertValues values;
  values.expert_offsets = routing.expert_offsets;
  values.row_A = at::floor_divide(position_A, tokens.length);
  values.tokens.num_rows = 1;
  values.tokens.length = position_A.size(0);
  values.tokens.segment_ids_BL = select(tokens.segment_ids_BL);
  values.tokens.positions_BL = select(tokens.positions_BL);
  values.tokens.token_keys_BL = select(tokens.token_keys_BL);
  values.tokens.has_padding = tokens.has_padding;
  values.tokens.is_packed = tokens.is_packed;
  return values;
}

}  // namespace

nn::FeedForwardConfig expert_config(const nn::FeedForwardConfig& dense, const Config& config) {
  nn::FeedForwardConfig expert = dense;
  if (config.expert_d_ff > 0) expert.d_ff = config.expert_d_ff;
  if (config.expert_feed_forward != ExpertFeedForward::AsDense)
    expert.is_gated = config.expert_feed_forward == ExpertFeedForward::GatedGelu;
  return expert;
}

FeedForward::FeedForward(const nn::FeedForwardConfig& block, const Config& config,
                         const std::string& prefix, bool is_causal,
                         const at::TensorOptions& options)
    : expert_(expert_config(block, config)),
      config_(config),
      prefix_(prefix),
      name_(prefix + ".mlp"),
      is_causal_(is_causal),
      site_(nn::noise_site(name_)),
      router_(make_router(config)) {
  const auto make = [](at::IntArrayRef sizes, const at::TensorOptions& like) {
    return at::empty(sizes, like).requires_grad_(true);
  };
  const int64_t num_experts = config.num_experts;
  if (router_->is_learned())
    classifier_ED_ = make({num_experts, expert_.d_model}, nn::at_least_float(options));
  wi_0_EFD_ = nn::Weight(make({num_experts, expert_.d_ff, expert_.d_model}, options));
  if (expert_.is_gated)
    wi_1_EFD_ = nn::Weight(make({num_experts, expert_.d_ff, expert_.d_model}, options));
  wo_EDF_ = nn::Weight(make({num_experts, expert_.d_model, expert_.d_ff}, options));
}

at::Tensor FeedForward::to_router_input(const at::Tensor& x_ND) const {
  return x_ND.to(classifier_ED_.defined() ? classifier_ED_.dtype()
                                          : nn::at_least_float(x_ND.options()).dtype());
}

ops::Routing FeedForward::route(const at::Tensor& x_ND, const nn::Context& context) const {
  const nn::TokenLayout& tokens = *context.tokens;
  FLANMOE_ASSERT(!tokens.has_padding);
  return router_->route(make_router_input(to_router_input(x_ND), tokens.real_index_N,
                                          tokens.token_keys_BL.reshape(-1), context));
}

RouterInput FeedForward::make_router_input(const at::Tensor& router_input_ND,
                                           const at::Tensor& index_N,
                                           const at::Tensor& token_keys_N,
                                           const nn::Context& context) const {
  const nn::TokenLayout& tokens = *context.tokens;
  RouterInput input;
  input.is_training = context.is_training;
  input.is_dropless = !context.is_training && !context.uses_capacity;
  input.is_causal = is_causal_;
  input.layer = site_;
  if (router_->is_learned())
    input.logits_TE = at::linear(router_input_ND, classifier_ED_);
  else
    input.logits_TE =
        at::zeros({router_input_ND.size(0), config_.num_experts}, router_input_ND.options());
  Groups groups = input.is_dropless ? make_sequence_groups(tokens, index_N)
                                    : make_groups(config_, tokens, index_N);
  input.group_of_token = std::move(groups.of_token);
  input.num_groups = groups.count;

  if (!router_->is_keyed()) return input;
  if (context.token_ids_BL.defined())
    input.token_ids = nn::to_host(context.token_ids_BL.reshape(-1).index_select(0, index_N));
  if (context.is_training) {
    input.noise = context.noise_key(RandomPurpose::RandomRouter, site_);
    input.token_keys = nn::to_host(token_keys_N);
  } else {
    input.noise = input.noise.fold(site_);
    input.token_keys = nn::to_host(tokens.positions_BL.reshape(-1).index_select(0, index_N));
    for (size_t i = 0; i < input.token_ids.size(); ++i)
      input.token_keys[i] =
          static_cast<int64_t>(mix64(static_cast<uint64_t>(input.token_keys[i]) ^
                                     mix64(static_cast<uint64_t>(input.token_ids[i]))));
  }
  return input;
}

nn::FeedForwardOutput FeedForward::forward(const at::Tensor& x_BLD,
                                           const nn::Context& context) const {
  const nn::TokenLayout& tokens = *context.tokens;
  const int64_t num_positions = tokens.num_rows * tokens.length;
  const bool leaves_out = tokens.has_padding && (config_.padding == PaddingRule::Excluded ||
                                                 (!context.is_training && !context.uses_capacity));
  const at::Tensor index_N = leaves_out || !tokens.has_padding
                                 ? tokens.real_index_N
                                 : at::arange(num_positions, tokens.real_index_N.options());
  at::Tensor x_ND = x_BLD.reshape({num_positions, expert_.d_model});
  at::Tensor token_keys_N = tokens.token_keys_BL.reshape(-1);
  if (leaves_out) {
    x_ND = at::index_select(x_ND, 0, index_N);
    token_keys_N = at::index_select(token_keys_N, 0, index_N);
  }

  at::Tensor router_input_ND = to_router_input(x_ND);
  const double jitter = context.regularisation.jitter.value_or(config_.jitter);
  if (context.is_training && jitter > 0) {
    router_input_ND =
        ops::jitter(router_input_ND, jitter,
                    {context.noise_key(RandomPurpose::RouterJitter, site_).state(), token_keys_N});
    if (config_.jitters_experts) x_ND = router_input_ND.to(x_ND.scalar_type());
  }
  const ops::Routing routing =
      router_->route(make_router_input(router_input_ND, index_N, token_keys_N, context));
  if (context.routing_sink) {
    context.routing_sink->record(prefix_, routing);
    context.routing_sink->record_rows(prefix_, routing, index_N, tokens);
  }

  const at::Tensor token_keys_A =
      context.is_training ? at::index_select(token_keys_N, 0, routing.token_index_A) : at::Tensor();
  const at::Tensor expert_output_AD =
      run_experts(ops::dispatch(x_ND, routing), routing, index_N, token_keys_A, context);
  at::Tensor output = ops::combine(expert_output_AD, routing);
  if (leaves_out)
    output = at::zeros({num_positions, expert_.d_model}, output.options())
                 .index_copy(0, index_N, output);

  nn::FeedForwardOutput result{output.view({tokens.num_rows, tokens.length, expert_.d_model}), {}};
  if (context.is_training) {
    if (routing.load_balance_loss.defined())
      result.auxiliary.losses.push_back({"load_balance_loss",
                                         prefix_,
                                         routing.load_balance_loss,
                                         config_.load_balance_coefficient,
                                         {routing.load_share_GE, routing.mean_probability_GE}});
    if (routing.z_loss.defined())
      result.auxiliary.losses.push_back(
          {"z_loss", prefix_, routing.z_loss, config_.z_loss_coefficient, {}});
  }
  return result;
}

at::Tensor FeedForward::run_experts(const at::Tensor& x_AD, const ops::Routing& routing,
                                    const at::Tensor& index_N, const at::Tensor& token_keys_A,
                                    const nn::Context& context) const {
  const at::ScalarType dtype = context.compute_dtype;
  const bool has_deltas = is_adapted(context);
  const nn::ExpertValues assignments =
      has_deltas ? describe_assignments(routing, index_N, *context.tokens) : nn::ExpertValues{};
  const auto change = [&](const nn::DeltaList& deltas, const at::Tensor& input,
                          const at::Tensor& output) {
    return has_deltas ? deltas.apply_to_experts(input, output, assignments, x_AD, context) : output;
  };
  const auto project = [&](const at::Tensor& x, const nn::Weight& weight,
                           const nn::DeltaList& deltas) {
    return change(deltas, x, ops::grouped_matmul(x, weight.as(dtype), routing.expert_offsets));
  };
  const at::Tensor gate_AF = project(x_AD, wi_0_EFD_, wi_0_deltas_);
  at::Tensor hidden_AF = expert_.is_gated
                             ? ops::gated_gelu(gate_AF, project(x_AD, wi_1_EFD_, wi_1_deltas_))
                             : ops::relu(gate_AF);
  hidden_AF = change(activation_deltas_, expert_.is_gated ? gate_AF : hidden_AF, hidden_AF);
  if (context.is_training)
    hidden_AF = ops::dropout(
        hidden_AF, context.regularisation.expert_dropout_rate.value_or(config_.expert_dropout_rate),
        {context.noise_key(RandomPurpose::Dropout, site_).state(), token_keys_A});
  return project(hidden_AF, wo_EDF_, wo_deltas_);
}

bool FeedForward::is_adapted(const nn::Context& context) const {
  if (context.adapters.empty()) return false;
  return !wi_0_deltas_.empty() || !wi_1_deltas_.empty() || !activation_deltas_.empty() ||
         !wo_deltas_.empty();
}

void FeedForward::collect_sites(nn::Sites& sites) {
  const std::string experts = name_ + ".experts.";
  const auto add = [&](const std::string& part, nn::SiteKind kind, const nn::Weight* weight,
                       nn::DeltaList& deltas) {
    nn::Site site;
    site.name = experts + part;
    site.kind = kind;
    site.weight = weight ? weight->master() : at::Tensor();
    site.out_dim = weight ? site.weight.size(1) : expert_.d_ff;
    site.in_dim = weight ? site.weight.size(2) : expert_.d_ff;
    site.block_dim = expert_.d_model;
    site.is_gated = expert_.is_gated;
    site.num_experts = config_.num_experts;
    nn::connect(site, deltas);
    sites.push_back(std::move(site));
  };
  const auto projection = nn::SiteKind::Projection;
  add(expert_.is_gated ? "wi_0" : "wi", projection, &wi_0_EFD_, wi_0_deltas_);
  add("act", nn::SiteKind::Activation, nullptr, activation_deltas_);
  if (expert_.is_gated) add("wi_1", projection, &wi_1_EFD_, wi_1_deltas_);
  add("wo", projection, &wo_EDF_, wo_deltas_);
}

void FeedForward::collect(nn::Parameters& parameters) const {
  if (classifier_ED_.defined())
    parameters.push_back(
        {name_ + ".router.classifier.weight", classifier_ED_, {.is_router = true}});
  parameters.push_back({name_ + (expert_.is_gated ? ".experts.wi_0.weight" : ".experts.wi.weight"),
                        wi_0_EFD_.master(),
                        {.is_multiplied = true, .expert_axis = 0}});
  if (expert_.is_gated)
    parameters.push_back({name_ + ".experts.wi_1.weight",
                          wi_1_EFD_.master(),
                          {.is_multiplied = true, .expert_axis = 0}});
  parameters.push_back(
      {name_ + ".experts.wo.weight", wo_EDF_.master(), {.is_multiplied = true, .expert_axis = 0}});
}

}  // namespace flanmoe::moe
