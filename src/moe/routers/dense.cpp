#include "moe/routers/dense.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/softmax.h>

#include "moe/losses.h"
#include "moe/token_choice.h"

namespace flanmoe::moe {
namespace {

class DenseRouter final : public Router {
 public:
  explicit DenseRouter(const Config& config) : config_(config) {}
  ops::Routing route(const RouterInput& input) const override {
    ops::Routing routing;
    routing.num_tokens = input.num_tokens();
    routing.num_experts = input.num_experts();
    routing.probabilities_TE = at::softmax(input.logits_TE, 1);
    const auto options = at::TensorOptions().dtype(at::kLong).device(input.logits_TE.device());
    routing.token_index_A = at::arange(routing.num_tokens, options).repeat({routing.num_experts});
    routing.combine_weight_A = routing.probabilities_TE.t().reshape(-1);
    for (int64_t e = 0; e <= routing.num_experts; ++e)
      routing.expert_offsets.push_back(e * routing.num_tokens);
    routing.requested.assign(static_cast<size_t>(routing.num_experts), routing.num_tokens);
    add_router_losses(routing, input,
                      choose_top_k(routing.probabilities_TE, 1, CombineWeights::Raw).expert_TK,
                      BalanceCount::FirstChoice);
    return routing;
  }
  double experts_per_token(bool, bool) const override {
    return static_cast<double>(config_.num_experts);
  }

 private:
  Config config_;
};

}  // namespace

RouterKind dense_router() {
  return {[](const Config& config) -> std::unique_ptr<Router> {
            return std::make_unique<DenseRouter>(config);
          },
          [](Config& config) { config.load_balance_coefficient = config.z_loss_coefficient = 0; }};
}

}  // namespace flanmoe::moe
