#include "moe/routers/top_2.h"

#include "base/error.h"
#include "moe/token_choice.h"

namespace flanmoe::moe {
namespace {

class Top2Router final : public Router {
 public:
  explicit Top2Router(const Config& config) : config_(config) {
    if (config.num_experts < 2)
      fail(ErrorCode::InvalidConfig,
           "[moe.num_experts] router 'top-2' needs at least 2 experts, found {}",
           config.num_experts);
  }
  ops::Routing route(const RouterInput& input) const override {
    return route_token_choice(input, config_, 2);
  }
  int64_t experts_per_token() const override { return 2; }

 private:
  Config config_;
};

}  // namespace

std::unique_ptr<Router> make_top_2_router(const Config& config) {
  return std::make_unique<Top2Router>(config);
}

}  // namespace flanmoe::moe
