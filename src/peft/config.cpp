#include "peft/config.h"

#include "base/error.h"
#include "peft/registry.h"

namespace flanmoe::peft {

namespace {

// Keys that do nothing here must not look as if they did.
void check_unused(const ComponentConfig& component, const std::string& at) {
  const Uses uses = kind_registry().get(component.kind).uses;
  const ComponentConfig unset;
  const auto check = [&](bool is_used, const char* key, const auto& value, const auto& default_) {
    if (!is_used && value != default_)
      fail(ErrorCode::InvalidConfig, "[{}.{}] is set, but '{}' has no use for it", at, key,
           component.kind);
  };
  check(uses.rank, "rank", component.rank, unset.rank);
  check(uses.rank, "alpha", component.alpha, unset.alpha);
  check(uses.rank, "dropout_rate", component.dropout_rate, unset.dropout_rate);
  check(uses.router, "num_experts", component.num_experts, unset.num_experts);
  check(uses.router, "top_k", component.top_k, unset.top_k);
  check(uses.router, "router_input", component.router_input, unset.router_input);
  check(uses.router, "load_balance_coefficient", component.load_balance_coefficient,
        unset.load_balance_coefficient);
  check(uses.router, "router_init_std", component.router_init_std, unset.router_init_std);
  check(uses.router && component.router_input == RouterInput::Sentence, "sentence_dim",
        component.sentence_dim, unset.sentence_dim);
  check(uses.virtual_tokens, "num_virtual_tokens", component.num_virtual_tokens,
        unset.num_virtual_tokens);
}

}  // namespace

void validate(const Config& config, const std::string& place) {
  if (config.components.empty())
    fail(ErrorCode::InvalidConfig, "[{}] has no component; give one with a kind", place);
  for (size_t i = 0; i < config.components.size(); ++i) {
    const ComponentConfig& component = config.components[i];
    const std::string at = fmt::format("{}.components[{}]", place, i);
    if (!kind_registry().contains(component.kind))
      fail(ErrorCode::InvalidConfig, "[{}.kind] unknown value '{}'{}", at, component.kind,
           suggestion(component.kind, kind_registry().names()));
    const auto check_positive = [&](const char* key, int64_t value) {
      if (value < 1)
        fail(ErrorCode::InvalidConfig, "[{}.{}] is {}, expected at least 1", at, key, value);
    };
    check_positive("num_experts", component.num_experts);
    check_positive("rank", component.rank);
    check_positive("num_virtual_tokens", component.num_virtual_tokens);
    if (component.top_k < 0 || component.top_k > component.num_experts)
      fail(ErrorCode::InvalidConfig, "[{}.top_k] is {}, expected 0 (soft) to num_experts ({})", at,
           component.top_k, component.num_experts);
    const auto check_not_negative = [&](const char* key, double value) {
      if (!(value >= 0))
        fail(ErrorCode::InvalidConfig, "[{}.{}] is {}, expected at least 0", at, key, value);
    };
    check_not_negative("load_balance_coefficient", component.load_balance_coefficient);
    check_not_negative("router_init_std", component.router_init_std);
    check_not_negative("sentence_dim", static_cast<double>(component.sentence_dim));
    check_unused(component, at);
    if (component.dropout_rate < 0 || component.dropout_rate >= 1)
      fail(ErrorCode::InvalidConfig, "[{}.dropout_rate] is {}, expected 0 to below 1", at,
           component.dropout_rate);
  }
}

}  // namespace flanmoe::peft
