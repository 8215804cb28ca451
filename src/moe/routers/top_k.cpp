#include "moe/routers/top_k.h"

#include "moe/token_choice.h"

namespace flanmoe::moe {
namespace {

class TopKRouter final : public Router {
 public:
  TopKRouter(const Config& config, int64_t k) : config_(config), k_(k) {
    if (k < 1)
      fail(ErrorCode::InvalidConfig, "[moe.top_k] expected at least 1, found {}", config.top_k);
    expect_experts(config, k);
  }
  ops::Routing route(const RouterInput& input) const override {
    return route_top_k(input, config_, k_);
  }
  double experts_per_token(bool, bool) const override { return static_cast<double>(k_); }

 private:
  Config config_;
  int64_t k_;
};

}  // namespace

RouterKind top_k_router() {
  return {[](const Config& config) -> std::unique_ptr<Router> {
            return std::make_unique<TopKRouter>(config, config.top_k);
          },
          [](Config&) {}};
}

RouterKind top_2_router() {
  return {[](const Config& config) -> std::unique_ptr<Router> {
            return std::make_unique<TopKRouter>(config, 2);
          },
          [](Config&) {}};
}

}  // namespace flanmoe::moe
