#include "moe/routers/random.h"

#include "moe/drawn_choice.h"

namespace flanmoe::moe {
namespace {

class RandomRouter final : public Router {
 public:
  explicit RandomRouter(const Config& config) : config_(config) {
    if (config.top_k < 1)
      fail(ErrorCode::InvalidConfig, "[moe.top_k] expected at least 1, found {}", config.top_k);
    expect_experts(config, config.top_k);
  }
  ops::Routing route(const RouterInput& input) const override {
    return route_given(input, config_, config_.top_k, [&](int64_t token) {
      return draw_distinct(input.noise.fold(input.token_key(token)), config_.num_experts,
                           config_.top_k);
    });
  }
  double experts_per_token(bool, bool) const override { return static_cast<double>(config_.top_k); }
  bool is_learned() const override { return false; }

 private:
  Config config_;
};

}  // namespace

RouterKind random_router() {
  return {[](const Config& config) -> std::unique_ptr<Router> {
            return std::make_unique<RandomRouter>(config);
          },
          [](Config& config) { config.load_balance_coefficient = config.z_loss_coefficient = 0; }};
}

}  // namespace flanmoe::moe
