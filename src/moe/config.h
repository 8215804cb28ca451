// What a sparse feed-forward layer is made of.
#pragma once

#include <cstdint>
#include <string>

#include "base/config.h"

namespace flanmoe::moe {

// How the coefficients of a token's experts are scaled.
enum class CombineWeights {
  Raw,         // the softmax probability of the chosen expert
  Normalised,  // divided by the sum over the token's chosen experts, before any is dropped (one
               // expert: 1)
};
enum class CapacityRule {
  PerChoice,  // ceil(capacity_factor * k * tokens / experts), DESIGN.md
  Absolute,   // `expert_capacity` tokens an expert and group (HF Switch)
  None,       // dropless
};
enum class RoutingGroup { Sequence, Batch };

}  // namespace flanmoe::moe

template <>
struct flanmoe::EnumNames<flanmoe::moe::CombineWeights> {
  static constexpr std::pair<moe::CombineWeights, std::string_view> values[] = {
      {moe::CombineWeights::Raw, "raw"}, {moe::CombineWeights::Normalised, "normalised"}};
};
template <>
struct flanmoe::EnumNames<flanmoe::moe::CapacityRule> {
  static constexpr std::pair<moe::CapacityRule, std::string_view> values[] = {
      {moe::CapacityRule::PerChoice, "per-choice"},
      {moe::CapacityRule::Absolute, "absolute"},
      {moe::CapacityRule::None, "none"}};
};
template <>
struct flanmoe::EnumNames<flanmoe::moe::RoutingGroup> {
  static constexpr std::pair<moe::RoutingGroup, std::string_view> values[] = {
      {moe::RoutingGroup::Sequence, "sequence"}, {moe::RoutingGroup::Batch, "batch"}};
};

namespace flanmoe::moe {

struct Config {
  std::string router = "top-2";  // a name of the router registry: "switch", "top-2"
  int64_t num_experts = 8;
  CombineWeights combine_weights = CombineWeights::Normalised;
  CapacityRule capacity_rule = CapacityRule::PerChoice;
  double train_capacity_factor = 1.25;
  double eval_capacity_factor = 2.0;
  int64_t expert_capacity = 64;  // with capacity_rule = absolute
  RoutingGroup group = RoutingGroup::Batch;
  double jitter = 0.0;
  double expert_dropout_rate = 0.0;
  double load_balance_coefficient = 0.01;
  double z_loss_coefficient = 0.001;

  template <class Visitor>
  void visit(Visitor& v) {
    v("router", router, "which router assigns tokens to experts");
    v("num_experts", num_experts, "experts a sparse layer");
    v("combine_weights", combine_weights,
      "raw or normalised router probabilities scale the experts' outputs");
    v("capacity_rule", capacity_rule, "per-choice, absolute or none (dropless)");
    v("train_capacity_factor", train_capacity_factor, "capacity factor in training");
    v("eval_capacity_factor", eval_capacity_factor, "capacity factor in evaluation");
    v("expert_capacity", expert_capacity, "tokens an expert takes, with capacity_rule = absolute");
    v("group", group, "tokens that compete for slots: those of a sequence or of a batch");
    v("jitter", jitter, "router input is multiplied by U(1 - jitter, 1 + jitter) in training");
    v("expert_dropout_rate", expert_dropout_rate, "dropout inside the experts");
    v("load_balance_coefficient", load_balance_coefficient,
      "weight of the load-balance loss, per layer");
    v("z_loss_coefficient", z_loss_coefficient, "weight of the router z-loss, per layer");
  }
};

}  // namespace flanmoe::moe
