#include "peft/config.h"

#include "base/error.h"
#include "peft/registry.h"

namespace flanmoe::peft {

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
    if (component.dropout_rate < 0 || component.dropout_rate >= 1)
      fail(ErrorCode::InvalidConfig, "[{}.dropout_rate] is {}, expected 0 to below 1", at,
           component.dropout_rate);
  }
}

}  // namespace flanmoe::peft
