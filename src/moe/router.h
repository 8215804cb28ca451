// Routers decide which experts a token meets. All return the same ops::Routing; nothing downstream
// asks which router made it. A new router is one file in routers/ and one line in
// router_registry.cpp.
//
// Shape letters: T tokens, E experts, G groups.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/registry.h"
#include "moe/config.h"
#include "ops/routing.h"

namespace flanmoe::moe {

struct RouterInput {
  at::Tensor logits_TE;  // fp32 or fp64; of a router that is not learned only its size, type and
                         // device count
  bool is_training = false;
  bool is_dropless = false;  // no capacity, whatever the config says (where tokens choose)
  bool is_causal = false;    // the tokens are a decoder's: outside of training none may look at
                             // later ones
  std::vector<int64_t> group_of_token;  // [T], from 0; empty: one group
  int64_t num_groups = 1;
  // For routers that draw or hash. In training the keys are those of the tokens' noise, folded with
  // seed, site and step; in evaluation they come from token id and position alone, so that batching
  // and caching change nothing.
  uint64_t layer = 0;                               // tells layers apart
  RandomKey noise{0, RandomPurpose::RandomRouter};  // folded with seed, site and step
  std::vector<int64_t> token_keys;                  // [T]; empty: the token's number
  std::vector<int64_t> token_ids;                   // [T]; empty: the token's number

  int64_t num_tokens() const { return logits_TE.size(0); }
  int64_t num_experts() const { return logits_TE.size(1); }
  uint64_t token_key(int64_t token) const {
    return static_cast<uint64_t>(token_keys.empty() ? token
                                                    : token_keys[static_cast<size_t>(token)]);
  }
  uint64_t token_id(int64_t token) const {
    return static_cast<uint64_t>(token_ids.empty() ? token : token_ids[static_cast<size_t>(token)]);
  }
};

class Router {
 public:
  virtual ~Router() = default;
  // Deterministic; ties go to the lower index.
  virtual ops::Routing route(const RouterInput& input) const = 0;
  // Experts a token uses on average when nothing is dropped, for FLOP accounting.
  virtual double experts_per_token(bool is_training, bool is_causal) const = 0;
  // Whether it has a weight matrix [E, D] of its own.
  virtual bool is_learned() const { return true; }
  // Whether it reads RouterInput's keys, ids and noise.
  virtual bool is_keyed() const { return !is_learned(); }
  // Whether a causal stack is routed otherwise in training than outside of it.
  virtual bool differs_in_causal_evaluation() const { return false; }
};

struct RouterKind {
  std::unique_ptr<Router> (*make)(const Config&);
  // What the router's paper says, on top of what the preset has set.
  void (*set_defaults)(Config&);
};
const Registry<RouterKind>& router_registry();
// Throws NotFound with the nearest name, InvalidConfig where experts are too few.
std::unique_ptr<Router> make_router(const Config& config);

}  // namespace flanmoe::moe
