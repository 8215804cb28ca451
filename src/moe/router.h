// Routers decide which experts a token meets. All return the same ops::Routing; nothing downstream
// asks which router made it.
//
// Shape letters: T tokens (real ones), E experts.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/registry.h"
#include "moe/config.h"
#include "ops/routing.h"

namespace flanmoe::moe {

struct RouterInput {
  at::Tensor logits_TE;  // fp32 or fp64
  bool is_training = false;
  std::vector<int64_t> group_of_token;  // [T], from 0, non-decreasing; empty: one group
  int64_t num_groups = 1;
};

class Router {
 public:
  virtual ~Router() = default;
  // Deterministic; ties go to the lower expert index.
  virtual ops::Routing route(const RouterInput& input) const = 0;
  // Experts a token uses when nothing is dropped, for FLOP accounting.
  virtual int64_t experts_per_token() const = 0;
};

using MakeRouter = std::unique_ptr<Router> (*)(const Config&);
const Registry<MakeRouter>& router_registry();
std::unique_ptr<Router> make_router(const Config& config);

// Slots an expert has for a group of `num_tokens`; 0: no limit. PerChoice: ceil(capacity_factor * k
// * num_tokens / num_experts), at least 1.
int64_t compute_capacity(const Config& config, int64_t experts_per_token, int64_t num_tokens,
                         bool is_training);

}  // namespace flanmoe::moe
