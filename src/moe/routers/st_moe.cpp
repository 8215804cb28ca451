#include "moe/routers/st_moe.h"

#include "moe/token_choice.h"

namespace flanmoe::moe {
namespace {

class StMoeRouter final : public Router {
 public:
  explicit StMoeRouter(const Config& config) : config_(config) { expect_experts(config, 2); }
  ops::Routing route(const RouterInput& input) const override {
    return route_top_k(input, config_, 2);
  }
  double experts_per_token(bool, bool) const override { return 2; }

 private:
  Config config_;
};

}  // namespace

RouterKind st_moe_router() {
  return {[](const Config& config) -> std::unique_ptr<Router> {
            return std::make_unique<StMoeRouter>(config);
          },
          // the defaults of Config: normalised, 1.25 and 2.0, coefficients 1e-2 and 1e-3
          [](Config&) {}};
}

}  // namespace flanmoe::moe
