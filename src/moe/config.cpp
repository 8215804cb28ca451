#include "moe/config.h"

#include "moe/router.h"

namespace flanmoe::moe {

void Config::set_defaults() {
  Config defaults;
  defaults.preset = preset;
  defaults.router = router;
  defaults.num_experts = num_experts;
  defaults.top_k = top_k;
  defaults.expert_capacity = expert_capacity;
  defaults.group_size = group_size;
  defaults.expert_dropout_rate = expert_dropout_rate;
  defaults.expert_d_ff = expert_d_ff;
  defaults.expert_feed_forward = expert_feed_forward;

  // facts.md items 91 to 107
  switch (preset) {
    case Preset::Default:
      break;
    case Preset::Flaxformer:
      defaults.capacity_rule = CapacityRule::PerToken;
      defaults.capacity_rounding = CapacityRounding::Nearest;
      defaults.min_expert_capacity = 4;
      defaults.group = RoutingGroup::Tokens;
      defaults.padding = PaddingRule::Counted;
      defaults.balance_count = BalanceCount::AnyChoice;
      defaults.layer_reduction = LayerReduction::Mean;
      break;
    case Preset::MeshTf:
      defaults.capacity_rule = CapacityRule::PerToken;
      defaults.capacity_rounding = CapacityRounding::Down;
      defaults.min_expert_capacity = 4;
      defaults.group = RoutingGroup::Tokens;
      break;
    case Preset::Hf:
      defaults.capacity_rule = CapacityRule::Absolute;
      defaults.group = RoutingGroup::Sequence;
      defaults.padding = PaddingRule::Counted;
      defaults.layer_reduction = LayerReduction::Pooled;
      break;
  }
  if (router_registry().contains(router)) router_registry().get(router).set_defaults(defaults);
  // The router has set what its paper says; these codes differ.
  if (preset == Preset::Flaxformer) {
    defaults.combine_weights = CombineWeights::Raw;
    if (router == "expert-choice")
      defaults.train_capacity_factor = defaults.eval_capacity_factor = 1.0;
  } else if (preset == Preset::Hf) {
    defaults.combine_weights = CombineWeights::Raw;
    defaults.jitter = 0.01;
    defaults.jitters_experts = true;
    defaults.load_balance_coefficient = defaults.z_loss_coefficient = 0.001;
  }
  *this = defaults;
}

Config decoder_default(const Config& encoder) {
  Config decoder = encoder;
  if (decoder.router == "expert-choice") {
    decoder.router = "top-2";
    decoder.set_defaults();
    decoder.layer_reduction = encoder.layer_reduction;
  }
  decoder.priority = Priority::Position;
  return decoder;
}

void validate(const Config& config, const std::string& path) {
  const auto expect = [&](bool is_right, const char* key, const auto& found,
                          std::string_view expected) {
    if (!is_right)
      fail(ErrorCode::InvalidConfig, "{}.{}: found {}, expected {}", path, key, found, expected);
  };
  expect(config.num_experts > 0, "num_experts", config.num_experts, "a positive number");
  (void)make_router(config);
  expect(config.min_expert_capacity >= 1, "min_expert_capacity", config.min_expert_capacity,
         "at least 1");
  if (!config.is_dropless) {
    if (config.capacity_rule == CapacityRule::Absolute) {
      expect(config.expert_capacity > 0, "expert_capacity", config.expert_capacity,
             "a positive number");
    } else {
      expect(config.train_capacity_factor > 0, "train_capacity_factor",
             config.train_capacity_factor, "a positive number");
      expect(config.eval_capacity_factor > 0, "eval_capacity_factor", config.eval_capacity_factor,
             "a positive number");
    }
  }
  if (config.group == RoutingGroup::Tokens)
    expect(config.group_size > 0, "group_size", config.group_size, "a positive number");
  expect(config.jitter >= 0 && config.jitter < 1, "jitter", config.jitter, "a number in [0, 1)");
  expect(config.expert_dropout_rate >= 0 && config.expert_dropout_rate < 1, "expert_dropout_rate",
         config.expert_dropout_rate, "a number in [0, 1)");
  expect(config.second_expert_threshold >= 0, "second_expert_threshold",
         config.second_expert_threshold, "0 or more");
  expect(config.expert_d_ff >= 0, "expert_d_ff", config.expert_d_ff, "0 or more");
}

}  // namespace flanmoe::moe
