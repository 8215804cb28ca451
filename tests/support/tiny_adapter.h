// Adapters that do something: parameters away from where they begin.
#pragma once

#include <ATen/core/grad_mode.h>

#include <memory>
#include <string>
#include <vector>

#include "model/model.h"
#include "peft/adapter.h"
#include "peft/registry.h"
#include "peft/spec.h"
#include "support/tensors.h"

namespace flanmoe::testing {

// `components` as on a command line. Every parameter is moved by normal(0, `scale`).
inline std::shared_ptr<const peft::Adapter> make_adapter(const model::Model& model,
                                                         const std::vector<std::string>& components,
                                                         uint64_t seed,
                                                         const std::string& name = "tiny",
                                                         double scale = 0.3) {
  const at::NoGradGuard no_grad;
  auto adapter = std::make_shared<peft::Adapter>(name, peft::parse_components(components),
                                                 model.sites(), seed);
  for (const nn::Parameter& parameter : adapter->parameters())
    parameter.tensor.detach().add_(
        random_tensor(parameter.tensor.sizes(), ++seed, parameter.tensor.scalar_type(), scale));
  return adapter;
}

// Every registered kind on its own sites, and combinations of those that are there.
inline std::vector<std::vector<std::string>> adapters_of_all_kinds() {
  std::vector<std::vector<std::string>> all;
  const std::vector<std::string> names = peft::kind_registry().names();
  for (const std::string& kind : names) {
    const bool is_mixture = kind == "mov" || kind == "molora";
    all.push_back({is_mixture ? kind + ",num_experts=3" : kind});
  }
  all.push_back({"ia3,sites=k|v", "lora,sites=q|wo,rank=2"});
  if (peft::kind_registry().contains("mov") && peft::kind_registry().contains("molora"))
    for (const std::string input : {"site", "block", "sentence"})
      all.push_back({"mov,sites=k|v,num_experts=2,router_input=" + input,
                     "molora,sites=wo,num_experts=3,rank=2,router_input=" + input});
  return all;
}

}  // namespace flanmoe::testing
