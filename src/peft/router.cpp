#include "peft/router.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/nonzero.h>

#include "base/error.h"

namespace flanmoe::peft {

MergingRouter::MergingRouter(const ComponentConfig& config, const nn::Site& site, int64_t input_dim,
                             const MakeContext& make)
    : site_(site.name),
      input_(config.router_input),
      num_experts_(config.num_experts),
      top_k_(config.top_k),
      load_balance_coefficient_(config.load_balance_coefficient) {
  if (input_ == RouterInput::Block) input_dim = site.block_dim;
  if (input_ == RouterInput::Sentence)
    input_dim = config.sentence_dim > 0 ? config.sentence_dim : site.block_dim;
  parameter_ = make.normal(site, "router.weight", {num_experts_, input_dim}, config.router_init_std,
                           {.is_router = true});
}

bool MergingRouter::is_observed(const nn::DeltaCall& call) const {
  return call.context.routing_sink != nullptr ||
         (load_balance_coefficient_ > 0 && call.context.is_training &&
          call.context.auxiliary != nullptr);
}

ops::MergingRouter MergingRouter::fused(const at::Tensor& input, bool applies_gelu) const {
  return {parameter_.tensor, input, applies_gelu, top_k_};
}

at::Tensor MergingRouter::weigh(const at::Tensor& input, bool applies_gelu,
                                const nn::DeltaCall& call) const {
  at::Tensor weights;
  switch (input_) {
    case RouterInput::Site:
      weights = ops::merging_weights(input, parameter_.tensor, applies_gelu);
      break;
    case RouterInput::Block:
      weights = ops::merging_weights(call.block_input, parameter_.tensor);
      break;
    case RouterInput::Sentence:
      weights = weigh_sentences(call);
      break;
  }
  if (is_observed(call)) add_loss(weights, call);
  const at::Tensor kept = ops::keep_largest(weights, top_k_);
  if (call.context.routing_sink)
    call.context.routing_sink->record_merging(
        site_, call.experts ? kept.detach().unsqueeze(0) : kept.detach(), call.tokens);
  return kept;
}

at::Tensor MergingRouter::weigh_sentences(const nn::DeltaCall& call) const {
  const nn::Context& context = call.context;
  const at::Tensor& vectors_BSD = context.sentence_vectors_BSD.defined()
                                      ? context.sentence_vectors_BSD
                                      : context.computed_sentence_vectors_BSD;
  if (!vectors_BSD.defined() || vectors_BSD.dim() != 3 ||
      vectors_BSD.size(2) != parameter_.tensor.size(1))
    fail(ErrorCode::ShapeMismatch,
         "[peft] the router of {} looks at sentence vectors [rows, segments, {}], but the pass has "
         "{}",
         site_, parameter_.tensor.size(1),
         vectors_BSD.defined() ? fmt::format("{}", fmt::join(vectors_BSD.sizes().vec(), " x "))
                               : "none");
  const at::Tensor weights_BSn =
      ops::merging_weights(vectors_BSD.to(parameter_.tensor.scalar_type()), parameter_.tensor);
  // that of every token; padding gets one of its row
  const int64_t num_segments = vectors_BSD.size(1);
  const at::Tensor& segments = call.tokens.segment_ids_BL;
  at::Tensor row = call.experts ? call.experts->row_A.unsqueeze(0)
                   : call.rows_R.defined()
                       ? call.rows_R.unsqueeze(1)
                       : at::arange(segments.size(0), segments.options()).unsqueeze(1);
  const at::Tensor index = row.mul(num_segments).add(segments.sub(1).clamp_min(0)).reshape(-1);
  std::vector<int64_t> shape =
      call.experts ? std::vector<int64_t>{segments.size(1)} : segments.sizes().vec();
  shape.push_back(num_experts_);
  return at::index_select(weights_BSn.reshape({-1, num_experts_}), 0, index).view(shape);
}

void MergingRouter::add_loss(const at::Tensor& weights, const nn::DeltaCall& call) const {
  if (load_balance_coefficient_ <= 0 || !call.context.is_training || !call.context.auxiliary)
    return;
  const at::Tensor& segments = call.tokens.segment_ids_BL;
  at::Tensor real = weights.reshape({segments.numel(), -1});
  if (call.tokens.has_padding)
    real = at::index_select(real, 0, at::nonzero(segments.reshape(-1)).squeeze(1));
  real = real.reshape({-1, num_experts_});
  if (real.size(0) == 0) return;
  const int64_t choices = top_k_ > 0 ? top_k_ : 1;
  const at::Tensor share =
      ops::keep_largest(real.detach(), choices).gt(0).to(real.scalar_type()).mean(0);
  const at::Tensor value = share.mul(real.mean(0)).sum().mul(static_cast<double>(num_experts_));
  const bool is_of_memory =
      site_.ends_with(".EncDecAttention.k") || site_.ends_with(".EncDecAttention.v");
  call.context.auxiliary->losses.push_back(
      {"load_balance_loss", site_, value, load_balance_coefficient_, {}, is_of_memory});
}

double MergingRouter::flops_per_token() const {
  return 2.0 * static_cast<double>(parameter_.tensor.numel());
}

}  // namespace flanmoe::peft
