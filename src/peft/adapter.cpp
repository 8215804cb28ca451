#include "peft/adapter.h"

#include <algorithm>

#include "base/error.h"
#include "peft/registry.h"
#include "peft/sites.h"

namespace flanmoe::peft {
namespace {

std::vector<const nn::Site*> default_sites(const nn::Sites& sites, const Kind& kind) {
  std::vector<SitePattern> patterns;
  for (const std::string& end : kind.default_sites) patterns.emplace_back(end, "peft");
  std::vector<const nn::Site*> chosen;
  for (const nn::Site& site : sites)
    if (std::any_of(patterns.begin(), patterns.end(),
                    [&](const SitePattern& pattern) { return pattern.matches(site.name); }))
      chosen.push_back(&site);
  return chosen;
}

}  // namespace

Adapter::Adapter(std::string name, const Config& config, const nn::Sites& sites, uint64_t seed,
                 const std::string& place)
    : name_(std::move(name)), config_(config) {
  validate(config, place);
  const RandomKey key(seed, RandomPurpose::Initialisation);
  for (size_t i = 0; i < config.components.size(); ++i) {
    const ComponentConfig& component = config.components[i];
    const std::string at = fmt::format("{}.components[{}].sites", place, i);
    const Kind& kind = kind_registry().get(component.kind);
    const auto chosen = component.sites.empty() ? default_sites(sites, kind)
                                                : choose_sites(sites, component.sites, at);
    if (chosen.empty())
      fail(ErrorCode::InvalidConfig, "[{}] the model has none of the sites of '{}'", at,
           component.kind);
    for (const nn::Site* site : chosen) {
      if (std::find(kind.allowed.begin(), kind.allowed.end(), site->kind) == kind.allowed.end())
        fail(ErrorCode::InvalidConfig, "[{}] '{}' cannot act on {}", at, component.kind,
             site->name);
      const at::Tensor& like = site->weight.defined() ? site->weight : sites.front().weight;
      const auto options = at::TensorOptions()
                               .dtype(like.scalar_type() == at::kDouble ? at::kDouble : at::kFloat)
                               .device(like.device());
      Made made = kind.make(component, *site, {options, key.fold(i)});
      parts_.push_back({i, site->name, made.parameters, made.delta, made.flops_per_token});
      for (nn::Parameter& parameter : made.parameters) {
        const bool is_there =
            std::any_of(parameters_.begin(), parameters_.end(),
                        [&](const nn::Parameter& other) { return other.name == parameter.name; });
        if (is_there)
          fail(ErrorCode::InvalidConfig, "[{}] two components of one kind act on {}", at,
               site->name);
        parameters_.push_back(std::move(parameter));
      }
    }
  }
}

bool Adapter::wants_sentence_vectors() const {
  return std::any_of(config_.components.begin(), config_.components.end(),
                     [](const ComponentConfig& component) {
                       return kind_registry().get(component.kind).uses.router &&
                              component.router_input == RouterInput::Sentence;
                     });
}

int64_t Adapter::num_virtual_tokens() const {
  for (const ComponentConfig& component : config_.components)
    if (kind_registry().get(component.kind).uses.virtual_tokens)
      return component.num_virtual_tokens;
  return 0;
}

double Adapter::flops_per_token(bool is_decoder) const {
  double flops = 0;
  for (const Part& part : parts_)
    if (part.site.starts_with("decoder.") == is_decoder) flops += part.flops_per_token;
  return flops;
}

void Adapter::attach(const nn::Sites& sites, int64_t number) const {
  for (const Part& part : parts_) {
    const auto site = std::find_if(sites.begin(), sites.end(), [&](const nn::Site& candidate) {
      return candidate.name == part.site;
    });
    if (site == sites.end())
      fail(ErrorCode::ShapeMismatch, "[adapter] '{}' acts on {}, which the model has not", name_,
           part.site);
    site->attach(number, part.delta);
  }
}

void Adapter::detach(const nn::Sites& sites, int64_t number) {
  for (const nn::Site& site : sites) site.detach(number);
}

}  // namespace flanmoe::peft
