#include "moe/routers/switch.h"

#include "moe/token_choice.h"

namespace flanmoe::moe {
namespace {

class SwitchRouter final : public Router {
 public:
  explicit SwitchRouter(const Config& config) : config_(config) {}
  ops::Routing route(const RouterInput& input) const override {
    return route_token_choice(input, config_, 1);
  }
  int64_t experts_per_token() const override { return 1; }

 private:
  Config config_;
};

}  // namespace

std::unique_ptr<Router> make_switch_router(const Config& config) {
  return std::make_unique<SwitchRouter>(config);
}

}  // namespace flanmoe::moe
