#include "moe/router.h"
#include "moe/routers/dense.h"
#include "moe/routers/expert_choice.h"
#include "moe/routers/gshard.h"
#include "moe/routers/hash.h"
#include "moe/routers/random.h"
#include "moe/routers/st_moe.h"
#include "moe/routers/switch.h"
#include "moe/routers/top_k.h"

namespace flanmoe::moe {

const Registry<RouterKind>& router_registry() {
  static const Registry<RouterKind> registry = [] {
    Registry<RouterKind> routers("router");
    routers.add("switch", switch_router());
    routers.add("gshard", gshard_router());
    routers.add("expert-choice", expert_choice_router());
    routers.add("st-moe", st_moe_router());
    routers.add("top-k", top_k_router());
    routers.add("top-2", top_2_router());
    routers.add("hash", hash_router());
    routers.add("random", random_router());
    routers.add("dense", dense_router());
    return routers;
  }();
  return registry;
}

std::unique_ptr<Router> make_router(const Config& config) {
  return router_registry().get(config.router).make(config);
}

}  // namespace flanmoe::moe
