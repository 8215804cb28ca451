#include "convert/merge_adapter.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/matmul.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "base/error.h"
#include "base/nearest.h"
#include "model/adapter_folder.h"

namespace flanmoe::convert {
namespace {

const nn::Site& find_site(const nn::Sites& sites, const std::string& name) {
  const auto found = std::find_if(sites.begin(), sites.end(),
                                  [&](const nn::Site& site) { return site.name == name; });
  if (found == sites.end())
    fail(ErrorCode::ShapeMismatch, "[merge] the adapter acts on {}, which the model has not", name);
  return *found;
}

const at::Tensor& find_part(const peft::Adapter::Part& part, const std::string& end) {
  for (const nn::Parameter& parameter : part.parameters)
    if (parameter.name.ends_with(end)) return parameter.tensor;
  FLANMOE_ASSERT(!"a part that merging knows");
  return part.parameters.front().tensor;
}

// `change` of the weight in at least fp32, rounded once.
void update(const at::Tensor& weight, const std::function<at::Tensor(const at::Tensor&)>& change) {
  const at::ScalarType wide = weight.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  weight.detach().copy_(change(weight.detach().to(wide)));
}

void merge_lora(const at::Tensor& weight, const peft::Adapter::Part& part, double scale) {
  const at::Tensor &a = find_part(part, ".lora_A.weight"), &b = find_part(part, ".lora_B.weight");
  update(weight, [&](const at::Tensor& w) {
    return w.add(at::matmul(b.detach(), a.detach()).to(w.scalar_type()), scale);
  });
}

void scale_outputs(const at::Tensor& weight, const at::Tensor& vector) {
  update(weight, [&](const at::Tensor& w) { return w.mul(vector.detach().unsqueeze(-1)); });
}

void scale_inputs(const at::Tensor& weight, const at::Tensor& vector) {
  update(weight, [&](const at::Tensor& w) { return w.mul(vector.detach().unsqueeze(-2)); });
}

const std::set<std::string> kMergeable = {"ia3", "lora", "norm"};

}  // namespace

void check_mergeable(const peft::Config& config) {
  for (const peft::ComponentConfig& component : config.components) {
    if (kMergeable.contains(component.kind)) continue;
    if (component.kind == "prompt")
      fail(
          ErrorCode::Unsupported,
          "[merge] '{}' cannot be merged: its vectors stand before the input, no weight does that; "
          "use the adapter's folder as the model",
          component.kind);
    fail(ErrorCode::Unsupported,
         "[merge] '{}' cannot be merged: its router weighs the {} experts anew for every token, no "
         "fixed weight does that; use the adapter's folder as the model",
         component.kind, component.num_experts);
  }
}

void merge_adapter(model::Model& model, const peft::Adapter& adapter) {
  const at::NoGradGuard no_grad;
  check_mergeable(adapter.config());
  const nn::Sites sites = model.sites();
  // The activated value is scaled before anything that acts on wo.
  for (const bool is_activation : {false, true})
    for (const peft::Adapter::Part& part : adapter.parts()) {
      const nn::Site& site = find_site(sites, part.site);
      if ((site.kind == nn::SiteKind::Activation) != is_activation) continue;
      const peft::ComponentConfig& component = adapter.config().components[part.component];
      if (component.kind == "lora") {
        merge_lora(site.weight, part, component.alpha / static_cast<double>(component.rank));
      } else if (component.kind == "norm") {
        update(site.weight, [&](const at::Tensor&) { return part.parameters.front().tensor; });
      } else if (is_activation) {
        const std::string block = part.site.substr(0, part.site.rfind('.'));
        scale_inputs(find_site(sites, block + ".wo").weight, find_part(part, ".ia3_l"));
      } else {
        scale_outputs(site.weight, find_part(part, ".ia3_l"));
      }
    }
}

MergeResult merge_folder(const std::string& adapter_folder, const std::string& out,
                         at::ScalarType dtype, const model::LoadOptions& options) {
  model::check_adapter_folder(adapter_folder);
  // The kinds first: reading the base's weights may take long.
  const std::string base =
      options.base.empty() ? model::find_adapter_base(adapter_folder).path : options.base;
  const model::Model shape(model::load_model_config(base), std::nullopt, dtype, at::kMeta);
  check_mergeable(model::load_adapter_config(adapter_folder, shape.sites()));

  const model::LoadedModel loaded = model::load_model(adapter_folder, dtype, at::kCPU, options);
  const peft::Adapter& adapter = loaded.model->adapter(*loaded.model->active_adapter());
  MergeResult result{loaded.model->config(), 0};
  std::set<std::string> changed;
  for (const peft::Adapter::Part& part : adapter.parts()) changed.insert(part.site);
  result.num_weights = static_cast<int64_t>(changed.size());
  merge_adapter(*loaded.model, adapter);
  model::save_model(out, *loaded.model, loaded.tokenizer.get());
  return result;
}

}  // namespace flanmoe::convert
