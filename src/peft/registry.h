// The kinds of adapter. A new kind is one file in kinds/ and one line in registry.cpp.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/registry.h"
#include "nn/delta.h"
#include "nn/parameter.h"
#include "peft/config.h"

namespace flanmoe::peft {

// What one component does at one site.
struct Made {
  std::shared_ptr<const nn::Delta> delta;
  nn::Parameters parameters;  // named SITE.PART
  double flops_per_token = 0;
};

// Makes new parameters: `key` is that of the adapter's seed.
struct MakeContext {
  at::TensorOptions options;  // dtype and device of parameters
  RandomKey key;
  // A leaf named SITE.`part`, filled with a constant or with normal(0, std).
  nn::Parameter constant(const nn::Site& site, const std::string& part, at::IntArrayRef shape,
                         double value, nn::ParameterTags tags = {}) const;
  nn::Parameter normal(const nn::Site& site, const std::string& part, at::IntArrayRef shape,
                       double std, nn::ParameterTags tags = {}) const;
  // A copy of `values`.
  nn::Parameter copy(const nn::Site& site, const std::string& part, const at::Tensor& values,
                     nn::ParameterTags tags = {}) const;
};

// Of the keys of a ComponentConfig, those that only some kinds have a use for.
struct Uses {
  bool rank = false;            // rank, alpha, dropout_rate
  bool router = false;          // num_experts, top_k, router_input and all of the router
  bool virtual_tokens = false;  // num_virtual_tokens
};

struct Kind {
  std::vector<std::string> default_sites;  // patterns; those that match nothing are left out
  std::vector<nn::SiteKind> allowed;       // kinds of sites it can act on
  Uses uses;
  Made (*make)(const ComponentConfig& config, const nn::Site& site, const MakeContext& make);
};

const Registry<Kind>& kind_registry();

}  // namespace flanmoe::peft
