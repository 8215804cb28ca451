#include "moe/routers/expert_choice.h"

#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "moe/capacity.h"
#include "moe/losses.h"
#include "moe/token_choice.h"

namespace flanmoe::moe {
namespace {

class ExpertChoiceRouter final : public Router {
 public:
  explicit ExpertChoiceRouter(const Config& config) : config_(config) {
    if (config.is_dropless)
      fail(ErrorCode::InvalidConfig,
           "[moe.is_dropless] is for routers in which tokens choose; in expert-choice the capacity "
           "is what the experts take");
  }

  ops::Routing route(const RouterInput& input) const override {
    if (input.is_causal && !input.is_training) {
      Config token_choice = config_;
      token_choice.is_dropless = true;
      return route_top_k(input, token_choice, causal_k());
    }
    ops::Routing routing;
    routing.num_tokens = input.num_tokens();
    routing.num_experts = input.num_experts();
    routing.probabilities_TE = at::softmax(input.logits_TE, 1);
    take_tokens(routing, input);
    add_router_losses(routing, input,
                      choose_top_k(routing.probabilities_TE, 1, CombineWeights::Raw).expert_TK,
                      BalanceCount::FirstChoice);
    return routing;
  }

  double experts_per_token(bool is_training, bool is_causal) const override {
    if (is_causal && !is_training) return static_cast<double>(causal_k());
    const double factor =
        is_training ? config_.train_capacity_factor : config_.eval_capacity_factor;
    return std::min(factor, static_cast<double>(config_.num_experts));
  }
  bool differs_in_causal_evaluation() const override { return true; }

 private:
  int64_t causal_k() const {
    return std::clamp<int64_t>(std::llround(config_.eval_capacity_factor), 1, config_.num_experts);
  }

  // Sorted by expert, then group, then falling probability.
  void take_tokens(ops::Routing& routing, const RouterInput& input) const {
    const int64_t num_tokens = routing.num_tokens, num_experts = routing.num_experts;
    std::vector<std::vector<int64_t>> tokens_of_group(static_cast<size_t>(input.num_groups));
    for (int64_t t = 0; t < num_tokens; ++t)
      tokens_of_group[input.group_of_token.empty()
                          ? 0
                          : static_cast<size_t>(input.group_of_token[static_cast<size_t>(t)])]
          .push_back(t);

    const at::Tensor host =
        routing.probabilities_TE.detach().to(at::kCPU, at::kDouble).contiguous();
    const double* p = host.const_data_ptr<double>();
    std::vector<int64_t> token_index, weight_index;
    routing.expert_offsets = {0};
    for (int64_t e = 0; e < num_experts; ++e) {
      for (const std::vector<int64_t>& tokens : tokens_of_group) {
        if (tokens.empty()) continue;
        const auto size = static_cast<int64_t>(tokens.size());
        const int64_t capacity =
            std::min(size, compute_capacity(config_, 1, size, input.is_training));
        routing.capacity = std::max(routing.capacity, capacity);
        std::vector<int64_t> best = tokens;
        std::partial_sort(best.begin(), best.begin() + capacity, best.end(),
                          [&](int64_t a, int64_t b) {
                            const double pa = p[a * num_experts + e], pb = p[b * num_experts + e];
                            return pa != pb ? pa > pb : a < b;
                          });
        for (int64_t i = 0; i < capacity; ++i) {
          token_index.push_back(best[static_cast<size_t>(i)]);
          weight_index.push_back(best[static_cast<size_t>(i)] * num_experts + e);
        }
      }
      routing.expert_offsets.push_back(static_cast<int64_t>(token_index.size()));
      routing.requested.push_back(routing.expert_offsets.back() -
                                  routing.expert_offsets[static_cast<size_t>(e)]);
    }
    const auto device = input.logits_TE.device();
    routing.token_index_A = at::tensor(token_index, at::kLong).to(device);
    routing.combine_weight_A = routing.probabilities_TE.reshape(-1).index_select(
        0, at::tensor(weight_index, at::kLong).to(device));
    if (config_.combine_weights == CombineWeights::Normalised) {
      const at::Tensor& weight_A = routing.combine_weight_A;
      const at::Tensor mass_T = at::zeros({num_tokens}, weight_A.options().requires_grad(false))
                                    .index_add(0, routing.token_index_A, weight_A);
      routing.combine_weight_A = weight_A.div(mass_T.index_select(0, routing.token_index_A));
    }
  }

  Config config_;
};

}  // namespace

RouterKind expert_choice_router() {
  return {[](const Config& config) -> std::unique_ptr<Router> {
            return std::make_unique<ExpertChoiceRouter>(config);
          },
          [](Config& config) {
            config.combine_weights = CombineWeights::Raw;
            config.train_capacity_factor = config.eval_capacity_factor = 2.0;
            config.load_balance_coefficient = config.z_loss_coefficient = 0;
            // rows of a batch do not change one another
            if (config.preset == Preset::Default) config.group = RoutingGroup::Sequence;
          }};
}

}  // namespace flanmoe::moe
