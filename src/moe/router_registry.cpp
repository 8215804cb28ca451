#include "moe/router.h"
#include "moe/routers/switch.h"
#include "moe/routers/top_2.h"

namespace flanmoe::moe {

const Registry<MakeRouter>& router_registry() {
  static const Registry<MakeRouter> registry = [] {
    Registry<MakeRouter> routers("router");
    routers.add("switch", make_switch_router);
    routers.add("top-2", make_top_2_router);
    return routers;
  }();
  return registry;
}

std::unique_ptr<Router> make_router(const Config& config) {
  return router_registry().get(config.router)(config);
}

}  // namespace flanmoe::moe
