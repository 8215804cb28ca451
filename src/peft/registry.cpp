#include "peft/registry.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include "nn/random_fill.h"
#include "peft/kinds/kinds.h"

namespace flanmoe::peft {

nn::Parameter MakeContext::constant(const nn::Site& site, const std::string& part,
                                    at::IntArrayRef shape, double value,
                                    nn::ParameterTags tags) const {
  tags.is_adapter = true;
  return {site.name + "." + part, at::full(shape, value, options).requires_grad_(true), tags};
}

nn::Parameter MakeContext::normal(const nn::Site& site, const std::string& part,
                                  at::IntArrayRef shape, double std, nn::ParameterTags tags) const {
  tags.is_adapter = true;
  const std::string name = site.name + "." + part;
  at::Tensor values =
      options.device() == at::kMeta
          ? at::empty(shape, options)
          : nn::draw_normal(shape, std, key.fold(std::string_view(name))).to(options);
  return {name, values.requires_grad_(true), tags};
}

nn::Parameter MakeContext::copy(const nn::Site& site, const std::string& part,
                                const at::Tensor& values, nn::ParameterTags tags) const {
  tags.is_adapter = true;
  return {site.name + "." + part,
          at::empty(values.sizes(), options).copy_(values.detach()).requires_grad_(true), tags};
}

const Registry<Kind>& kind_registry() {
  static const Registry<Kind> registry = [] {
    Registry<Kind> kinds("adapter kind");
    kinds.add("ia3", ia3_kind());
    kinds.add("lora", lora_kind());
    kinds.add("mov", mov_kind());
    kinds.add("molora", molora_kind());
    kinds.add("norm", norm_kind());
    kinds.add("prompt", prompt_kind());
    return kinds;
  }();
  return registry;
}

}  // namespace flanmoe::peft
