// What a sparse feed-forward layer is made of. Where reference codes disagree, the choice is a
// named value here, with its one definition; `preset` sets them together (docs/routing.md).
#pragma once

#include <cstdint>
#include <string>

#include "base/config.h"

namespace flanmoe::moe {

// Whose conventions are followed where they differ.
enum class Preset {
  Default,     // DESIGN.md: padding is left out, capacity counts all choices of a token
  Flaxformer,  // google/flaxformer with t5x
  MeshTf,      // mesh_tensorflow/transformer/moe.py
  Hf,          // transformers' SwitchTransformers
};
// How the coefficients of a token's experts are scaled.
enum class CombineWeights {
  Raw,         // the router's probability of the chosen expert
  Normalised,  // divided by the sum over the token's choices: those it asked for before any is
               // dropped, or those that picked it (expert choice)
};
// Slots that an expert has in a routing group of n tokens.
enum class CapacityRule {
  PerChoice,  // capacity_factor * k * n / E, k experts a token
  PerToken,   // capacity_factor * n / E whatever k is
  Absolute,   // expert_capacity
};
enum class CapacityRounding { Up, Nearest, Down };  // nearest: halves to even
// Tokens that compete for slots, and over which the balance loss is taken.
enum class RoutingGroup {
  Sequence,  // a row, or a segment of a packed one
  Batch,
  Tokens,  // group_size tokens one after the other; the last group may be smaller
};
// Who gets slots first among requests of equal rank (all first choices come before all second
// ones).
enum class Priority {
  Position,     // the earlier token
  Probability,  // the token with the larger top probability: batch-prioritised routing
                // (arXiv 2106.05974). Looks at later tokens, so a decoder uses it in training only.
};
// Whether a token asks for its second expert (mesh-tf); g is that expert's normalised gate.
enum class SecondExpertPolicy {
  All,
  None,
  Threshold,  // where g > second_expert_threshold
  Random,     // with probability min(1, g / second_expert_threshold)
};
// The f_e of the balance loss.
enum class BalanceCount {
  FirstChoice,  // share of tokens whose first choice is e; uniform routing gives a loss of 1
  AnyChoice,    // share of tokens that have e among their choices; uniform routing gives k
};
// How the router losses of a model's layers become one.
enum class LayerReduction {
  Sum,
  Mean,    // over all sparse layers of the model
  Pooled,  // the layers of a stack count as one layer with all their tokens; stacks are added
};
enum class PaddingRule {
  Excluded,  // takes no slot and changes no loss
  Counted,   // is routed like any token; a sequence is then a whole row
};
enum class ExpertFeedForward { AsDense, Relu, GatedGelu };

}  // namespace flanmoe::moe

namespace flanmoe {

template <>
struct EnumNames<moe::Preset> {
  static constexpr std::pair<moe::Preset, std::string_view> values[] = {
      {moe::Preset::Default, "default"},
      {moe::Preset::Flaxformer, "flaxformer"},
      {moe::Preset::MeshTf, "mesh-tf"},
      {moe::Preset::Hf, "hf"}};
};
template <>
struct EnumNames<moe::CombineWeights> {
  static constexpr std::pair<moe::CombineWeights, std::string_view> values[] = {
      {moe::CombineWeights::Raw, "raw"}, {moe::CombineWeights::Normalised, "normalised"}};
};
template <>
struct EnumNames<moe::CapacityRule> {
  static constexpr std::pair<moe::CapacityRule, std::string_view> values[] = {
      {moe::CapacityRule::PerChoice, "per-choice"},
      {moe::CapacityRule::PerToken, "per-token"},
      {moe::CapacityRule::Absolute, "absolute"}};
};
template <>
struct EnumNames<moe::CapacityRounding> {
  static constexpr std::pair<moe::CapacityRounding, std::string_view> values[] = {
      {moe::CapacityRounding::Up, "up"},
      {moe::CapacityRounding::Nearest, "nearest"},
      {moe::CapacityRounding::Down, "down"}};
};
template <>
struct EnumNames<moe::RoutingGroup> {
  static constexpr std::pair<moe::RoutingGroup, std::string_view> values[] = {
      {moe::RoutingGroup::Sequence, "sequence"},
      {moe::RoutingGroup::Batch, "batch"},
      {moe::RoutingGroup::Tokens, "tokens"}};
};
template <>
struct EnumNames<moe::Priority> {
  static constexpr std::pair<moe::Priority, std::string_view> values[] = {
      {moe::Priority::Position, "position"}, {moe::Priority::Probability, "probability"}};
};
template <>
struct EnumNames<moe::SecondExpertPolicy> {
  static constexpr std::pair<moe::SecondExpertPolicy, std::string_view> values[] = {
      {moe::SecondExpertPolicy::All, "all"},
      {moe::SecondExpertPolicy::None, "none"},
      {moe::SecondExpertPolicy::Threshold, "threshold"},
      {moe::SecondExpertPolicy::Random, "random"}};
};
template <>
struct EnumNames<moe::BalanceCount> {
  static constexpr std::pair<moe::BalanceCount, std::string_view> values[] = {
      {moe::BalanceCount::FirstChoice, "first-choice"},
      {moe::BalanceCount::AnyChoice, "any-choice"}};
};
template <>
struct EnumNames<moe::LayerReduction> {
  static constexpr std::pair<moe::LayerReduction, std::string_view> values[] = {
      {moe::LayerReduction::Sum, "sum"},
      {moe::LayerReduction::Mean, "mean"},
      {moe::LayerReduction::Pooled, "pooled"}};
};
template <>
struct EnumNames<moe::PaddingRule> {
  static constexpr std::pair<moe::PaddingRule, std::string_view> values[] = {
      {moe::PaddingRule::Excluded, "excluded"}, {moe::PaddingRule::Counted, "counted"}};
};
template <>
struct EnumNames<moe::ExpertFeedForward> {
  static constexpr std::pair<moe::ExpertFeedForward, std::string_view> values[] = {
      {moe::ExpertFeedForward::AsDense, "as-dense"},
      {moe::ExpertFeedForward::Relu, "relu"},
      {moe::ExpertFeedForward::GatedGelu, "gated-gelu"}};
};

}  // namespace flanmoe

namespace flanmoe::moe {

struct Config {
  Preset preset = Preset::Default;
  std::string router = "top-k";  // a name of the router registry
  int64_t num_experts = 8;
  int64_t top_k = 2;  // experts a token where the router does not fix it (top-k, random, hash)
  CombineWeights combine_weights = CombineWeights::Normalised;
  bool is_dropless = false;
  CapacityRule capacity_rule = CapacityRule::PerChoice;
  CapacityRounding capacity_rounding = CapacityRounding::Up;
  int64_t min_expert_capacity = 1;
  double train_capacity_factor = 1.25;
  double eval_capacity_factor = 2.0;
  int64_t expert_capacity = 64;  // with capacity_rule = absolute
  RoutingGroup group = RoutingGroup::Batch;
  int64_t group_size = 4096;  // with group = tokens
  PaddingRule padding = PaddingRule::Excluded;
  Priority priority = Priority::Position;
  SecondExpertPolicy second_expert_policy = SecondExpertPolicy::Random;  // of gshard
  double second_expert_threshold = 0.2;
  double jitter = 0.0;
  bool jitters_experts = false;
  double expert_dropout_rate = 0.0;
  double load_balance_coefficient = 0.01;
  double z_loss_coefficient = 0.001;
  BalanceCount balance_count = BalanceCount::FirstChoice;
  LayerReduction layer_reduction = LayerReduction::Sum;
  int64_t expert_d_ff = 0;
  ExpertFeedForward expert_feed_forward = ExpertFeedForward::AsDense;
  bool has_extra_feed_forward = false;

  // Sets what hangs on preset and router as they are now; sizes and dropout stay.
  void set_defaults();

  template <class Visitor>
  void visit(Visitor& v) {
    v("preset", preset, "whose conventions: default, flaxformer, mesh-tf or hf");
    v("router", router,
      "switch, gshard, expert-choice, st-moe, top-k, top-2, hash, random or dense");
    if (was_given(v, "preset") || was_given(v, "router")) set_defaults();
    v("num_experts", num_experts, "experts a sparse layer");
    v("top_k", top_k, "experts a token, of the routers top-k, random and hash");
    v("combine_weights", combine_weights,
      "raw or normalised router probabilities scale the experts' outputs");
    v("is_dropless", is_dropless, "no capacity: every request is served");
    v("capacity_rule", capacity_rule, "per-choice, per-token or absolute");
    v("capacity_rounding", capacity_rounding, "up, nearest or down");
    v("min_expert_capacity", min_expert_capacity, "slots an expert has at least");
    v("train_capacity_factor", train_capacity_factor, "capacity factor in training");
    v("eval_capacity_factor", eval_capacity_factor, "capacity factor in evaluation");
    v("expert_capacity", expert_capacity, "tokens an expert takes, with capacity_rule = absolute");
    v("group", group, "tokens that compete for slots: those of a sequence, a batch, or group_size");
    v("group_size", group_size, "tokens of a group, with group = tokens");
    v("padding", padding, "excluded, or counted: then it is routed like any token");
    v("priority", priority, "who gets slots first: position, or probability (batch-prioritised)");
    v("second_expert_policy", second_expert_policy,
      "when gshard asks for a second expert: all, none, threshold or random");
    v("second_expert_threshold", second_expert_threshold, "of threshold and random");
    v("jitter", jitter, "router input is multiplied by U(1 - jitter, 1 + jitter) in training");
    v("jitters_experts", jitters_experts, "the experts see the jittered input too");
    v("expert_dropout_rate", expert_dropout_rate, "dropout inside the experts");
    v("load_balance_coefficient", load_balance_coefficient, "weight of the load-balance loss");
    v("z_loss_coefficient", z_loss_coefficient, "weight of the router z-loss");
    v("balance_count", balance_count, "what the balance loss counts: first-choice or any-choice");
    v("layer_reduction", layer_reduction, "router losses over layers: sum, mean or pooled");
    v("expert_d_ff", expert_d_ff, "width of an expert; 0: that of the dense block");
    v("expert_feed_forward", expert_feed_forward, "as-dense, relu or gated-gelu");
    v("has_extra_feed_forward", has_extra_feed_forward,
      "a dense feed-forward block of its own behind the sparse one (ST-MoE)");
  }
};

// What the decoder has where nothing else is said: the same, but top-2 for expert choice, which
// would look at later tokens, and slots by position.
Config decoder_default(const Config& encoder);

// Throws InvalidConfig or NotFound with `path` before the key, found and expected.
void validate(const Config& config, const std::string& path);

}  // namespace flanmoe::moe
