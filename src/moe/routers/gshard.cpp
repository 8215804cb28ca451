#include "moe/routers/gshard.h"

#include <algorithm>

#include "moe/token_choice.h"

namespace flanmoe::moe {
namespace {

class GshardRouter final : public Router {
 public:
  explicit GshardRouter(const Config& config) : config_(config) { expect_experts(config, 2); }
  ops::Routing route(const RouterInput& input) const override {
    const double threshold = config_.second_expert_threshold;
    switch (config_.second_expert_policy) {
      case SecondExpertPolicy::All:
        return route_top_k(input, config_, 2);
      case SecondExpertPolicy::None:
        return route_top_k(input, config_, 2, [](int64_t, int64_t, double) { return false; });
      case SecondExpertPolicy::Threshold:
        return route_top_k(input, config_, 2,
                           [threshold](int64_t, int64_t, double gate) { return gate > threshold; });
      case SecondExpertPolicy::Random:
        break;
    }
    return route_top_k(input, config_, 2, [&](int64_t token, int64_t, double gate) {
      return input.noise.fold(input.token_key(token)).uniform(0) * std::max(threshold, 1e-9) < gate;
    });
  }
  double experts_per_token(bool, bool) const override {
    return config_.second_expert_policy == SecondExpertPolicy::None ? 1 : 2;
  }
  bool is_keyed() const override {
    return config_.second_expert_policy == SecondExpertPolicy::Random;
  }

 private:
  Config config_;
};

}  // namespace

RouterKind gshard_router() {
  return {[](const Config& config) -> std::unique_ptr<Router> {
            return std::make_unique<GshardRouter>(config);
          },
          [](Config& config) { config.z_loss_coefficient = 0; }};
}

}  // namespace flanmoe::moe
