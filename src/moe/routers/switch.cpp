#include "moe/routers/switch.h"

#include "moe/token_choice.h"

namespace flanmoe::moe {
namespace {

class SwitchRouter final : public Router {
 public:
  explicit SwitchRouter(const Config& config) : config_(config) {}
  ops::Routing route(const RouterInput& input) const override {
    return route_top_k(input, config_, 1);
  }
  double experts_per_token(bool, bool) const override { return 1; }

 private:
  Config config_;
};

}  // namespace

RouterKind switch_router() {
  return {[](const Config& config) -> std::unique_ptr<Router> {
            return std::make_unique<SwitchRouter>(config);
          },
          [](Config& config) {
            config.combine_weights = CombineWeights::Raw;
            config.jitter = 0.01;
            config.z_loss_coefficient = 0;
          }};
}

}  // namespace flanmoe::moe
