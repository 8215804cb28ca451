// Every router keeps the same contract; each agrees with its loop version and with the reference's
// numbers.
#include "moe/router.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <numeric>
#include <set>
#include <tuple>

#include "base/config_node.h"
#include "base/json.h"
#include "moe/capacity.h"
#include "moe/loop_reference.h"
#include "moe/losses.h"
#include "support/expect_error.h"
#include "support/golden.h"
#include "support/tensors.h"

namespace flanmoe::moe {
namespace {

using testing::compare;
using testing::doubles;
using testing::integers;
using testing::random_tensor;

Matrix matrix(const at::Tensor& tensor) {
  Matrix rows;
  for (int64_t i = 0; i < tensor.size(0); ++i) rows.push_back(doubles(tensor[i]));
  return rows;
}

struct Assignment {
  int64_t token, expert, slot;  // slot counted inside expert and group
  double weight;
  bool operator==(const Assignment& other) const {
    return token == other.token && expert == other.expert && slot == other.slot;
  }
};

// The sparse matrix taken apart; checks the offsets on the way.
std::vector<Assignment> assignments(const ops::Routing& routing,
                                    const std::vector<int64_t>& group) {
  const std::vector<int64_t> token = integers(routing.token_index_A);
  const std::vector<double> weight = doubles(routing.combine_weight_A);
  const auto& offsets = routing.expert_offsets;
  EXPECT_EQ(static_cast<int64_t>(offsets.size()), routing.num_experts + 1);
  EXPECT_TRUE(std::is_sorted(offsets.begin(), offsets.end()));
  EXPECT_EQ(offsets.front(), 0);
  EXPECT_EQ(offsets.back(), static_cast<int64_t>(token.size()));
  EXPECT_EQ(weight.size(), token.size());
  std::vector<Assignment> result;
  for (int64_t e = 0; e < routing.num_experts; ++e) {
    std::map<int64_t, int64_t> used;
    for (int64_t a = offsets[static_cast<size_t>(e)]; a < offsets[static_cast<size_t>(e) + 1];
         ++a) {
      const int64_t t = token[static_cast<size_t>(a)];
      EXPECT_GE(t, 0);
      EXPECT_LT(t, routing.num_tokens);
      const int64_t g = group.empty() ? 0 : group[static_cast<size_t>(t)];
      result.push_back({t, e, used[g]++, weight[static_cast<size_t>(a)]});
    }
  }
  return result;
}

at::Tensor dense_weights(const ops::Routing& routing) {
  at::Tensor dense =
      at::zeros({routing.num_tokens, routing.num_experts}, at::TensorOptions(at::kDouble));
  for (const Assignment& a : assignments(routing, {})) dense[a.token][a.expert] += a.weight;
  return dense;
}

struct Case {
  std::string router;
  CombineWeights combine_weights;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.router << ", weights " << to_string(c.combine_weights);
}

// Every registered router, with either scale of its weights.
class EveryRouter : public ::testing::TestWithParam<Case> {
 protected:
  EveryRouter() {
    config_.router = GetParam().router;
    config_.set_defaults();
    config_.combine_weights = GetParam().combine_weights;
    config_.second_expert_policy = SecondExpertPolicy::All;
    config_.num_experts = 5;
    config_.top_k = 3;
    set_limit(false);
  }
  // No limit: all requests are served, or every expert takes every token.
  void set_limit(bool has_limit) {
    config_.is_dropless = !has_limit && config_.router != "expert-choice";
    if (config_.router == "expert-choice" && !has_limit)
      config_.train_capacity_factor = config_.eval_capacity_factor = 5;
  }
  RouterInput make_input(const at::Tensor& logits, const std::vector<int64_t>& group = {},
                         bool is_training = false) const {
    RouterInput input;
    input.logits_TE = logits;
    input.is_training = is_training;
    input.group_of_token = group;
    input.num_groups = group.empty() ? 1 : group.back() + 1;
    for (int64_t t = 0; t < logits.size(0); ++t) {
      input.token_keys.push_back(1000 + 7 * t);
      input.token_ids.push_back(50 + t * t);
    }
    return input;
  }
  ops::Routing route(const at::Tensor& logits, const std::vector<int64_t>& group = {},
                     bool is_training = false) const {
    return make_router(config_)->route(make_input(logits, group, is_training));
  }
  int64_t experts_per_token() const {
    return std::llround(make_router(config_)->experts_per_token(false, false));
  }
  bool is_learned() const { return make_router(config_)->is_learned(); }
  bool is_token_choice() const {
    return config_.router != "expert-choice" && config_.router != "dense";
  }
  // Slots of a group of n tokens where there is a limit.
  int64_t limit(double factor, int64_t n) const {
    if (config_.router == "dense") return n;
    const int64_t k = is_token_choice() ? experts_per_token() : 1;
    const auto slots = static_cast<int64_t>(std::ceil(factor * static_cast<double>(k * n) / 5));
    return std::max<int64_t>(1, is_token_choice() ? slots : std::min(n, slots));
  }

  Config config_;
  std::vector<int64_t> group_ = {0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2,
                                 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2};
};

TEST_P(EveryRouter, ServesEveryTokenWhereThereIsNoLimit) {
  const ops::Routing routing = route(random_tensor({23, 5}, 1), group_);
  EXPECT_EQ(routing.num_tokens, 23);
  EXPECT_EQ(routing.num_experts, 5);
  std::set<std::pair<int64_t, int64_t>> pairs;
  for (const Assignment& a : assignments(routing, group_)) {
    EXPECT_TRUE(pairs.insert({a.token, a.expert}).second) << "token " << a.token << " twice";
    EXPECT_GT(a.weight, 0);
    EXPECT_LE(a.weight, 1 + 1e-12);
  }
  EXPECT_EQ(static_cast<int64_t>(pairs.size()), 23 * experts_per_token());
  // What the router promises of a token's weights.
  const at::Tensor mass = dense_weights(routing).sum(1);
  const bool sums_to_one =
      config_.combine_weights == CombineWeights::Normalised || !is_token_choice() || !is_learned();
  if (sums_to_one) {
    EXPECT_EQ(compare(mass, mass.new_ones({23}), 1e-12), "");
  } else {
    EXPECT_LT(mass.min().item<double>(), 0.99);
    const at::Tensor top = std::get<0>(routing.probabilities_TE.sort(1, true));
    EXPECT_EQ(compare(mass, top.narrow(1, 0, experts_per_token()).sum(1), 1e-12), "");
  }
}

TEST_P(EveryRouter, NeverGivesMoreSlotsThanTheCapacity) {
  set_limit(true);
  for (const bool is_training : {false, true})
    for (const double factor : {0.3, 1.0, 1.7})
      for (const uint64_t seed : {1, 2, 3}) {
        (is_training ? config_.train_capacity_factor : config_.eval_capacity_factor) = factor;
        // A tilt makes some experts wanted by most.
        const at::Tensor logits =
            random_tensor({23, 5}, seed).add(random_tensor({5}, seed + 9).mul(2));
        const ops::Routing routing = route(logits, group_, is_training);
        std::map<std::pair<int64_t, int64_t>, int64_t> used;
        std::set<std::pair<int64_t, int64_t>> pairs;
        for (const Assignment& a : assignments(routing, group_)) {
          ++used[{a.expert, group_[static_cast<size_t>(a.token)]}];
          EXPECT_TRUE(pairs.insert({a.token, a.expert}).second);
        }
        const int64_t sizes[] = {7, 4, 12};
        bool is_reached = false;
        for (const auto& [place, count] : used) {
          const int64_t capacity = limit(factor, sizes[place.second]);
          EXPECT_LE(count, capacity) << "expert " << place.first << ", group " << place.second;
          is_reached |= count == capacity;
        }
        EXPECT_TRUE(is_reached || factor > 1);
        const int64_t num_requested =
            std::accumulate(routing.requested.begin(), routing.requested.end(), int64_t{0});
        if (is_token_choice()) {
          EXPECT_EQ(num_requested, 23 * experts_per_token());
          if (factor < 1) EXPECT_LT(routing.token_index_A.numel(), num_requested);
        } else {
          EXPECT_EQ(num_requested, routing.token_index_A.numel());
        }
      }
}

TEST_P(EveryRouter, GivesTiesToTheLowerIndex) {
  if (config_.router == "expert-choice") {  // among tokens
    set_limit(true);
    config_.eval_capacity_factor = 2.5;
    for (const Assignment& a : assignments(route(at::zeros({4, 5}, at::kDouble)), {}))
      EXPECT_LT(a.token, 2);
    return;
  }
  if (!is_learned()) return;  // nothing to tie
  for (const bool is_wide : {false, true}) {
    const ops::Routing routing = route(at::zeros({4, 5}, is_wide ? at::kDouble : at::kFloat));
    for (const Assignment& a : assignments(routing, {})) EXPECT_LT(a.expert, experts_per_token());
  }
  if (!is_token_choice()) return;
  at::Tensor logits = at::zeros({1, 5}, at::TensorOptions(at::kFloat));
  logits[0][2] = logits[0][3] = logits[0][4] = 1;
  for (const Assignment& a : assignments(route(logits), {})) {
    EXPECT_GE(a.expert, 2);
    EXPECT_LT(a.expert, 2 + experts_per_token());
  }
}

TEST_P(EveryRouter, PermutesWithItsTokensWhereNothingIsDropped) {
  const at::Tensor logits = random_tensor({23, 5}, 4);
  std::vector<int64_t> order(23);
  for (int64_t i = 0; i < 23; ++i) order[static_cast<size_t>(i)] = (i * 7 + 3) % 23;
  const at::Tensor permutation = testing::index_tensor(order);
  RouterInput input = make_input(logits);
  const ops::Routing plain = make_router(config_)->route(input);
  const RouterInput before = input;
  input.logits_TE = logits.index_select(0, permutation);
  for (size_t i = 0; i < 23; ++i) {
    input.token_keys[i] = before.token_keys[static_cast<size_t>(order[i])];
    input.token_ids[i] = before.token_ids[static_cast<size_t>(order[i])];
  }
  const ops::Routing permuted = make_router(config_)->route(input);
  EXPECT_EQ(compare(dense_weights(permuted), dense_weights(plain).index_select(0, permutation), 0),
            "");
  EXPECT_EQ(plain.requested, permuted.requested);
  if (!is_learned()) return;
  EXPECT_EQ(compare(plain.z_loss, permuted.z_loss, 1e-12), "");
  EXPECT_EQ(compare(plain.load_balance_loss, permuted.load_balance_loss, 1e-12), "");
}

TEST_P(EveryRouter, GivesTheSameBitsTwiceAndWithAnyNumberOfThreads) {
  set_limit(true);
  config_.eval_capacity_factor = 0.8;
  config_.num_experts = 64;
  const at::Tensor logits = random_tensor({3000, 64}, 5, at::kFloat);
  const ops::Routing a = route(logits), b = route(logits);
  const int before = at::get_num_threads();
  at::set_num_threads(before == 1 ? 3 : 1);
  const ops::Routing c = route(logits);
  at::set_num_threads(before);
  for (const ops::Routing* other : {&b, &c}) {
    EXPECT_EQ(integers(a.token_index_A), integers(other->token_index_A));
    EXPECT_EQ(a.expert_offsets, other->expert_offsets);
    EXPECT_EQ(testing::compare_bits(a.combine_weight_A, other->combine_weight_A), "");
  }
}

TEST_P(EveryRouter, RoutesAGroupAsIfItWereAlone) {
  set_limit(true);
  config_.eval_capacity_factor = 0.8;
  RouterInput input = make_input(random_tensor({23, 5}, 6), group_);
  const at::Tensor together = dense_weights(make_router(config_)->route(input));
  for (const auto& [begin, count] : {std::pair<int64_t, int64_t>{0, 7}, {7, 4}, {11, 12}}) {
    RouterInput part;
    part.logits_TE = input.logits_TE.narrow(0, begin, count);
    part.token_keys.assign(input.token_keys.begin() + begin,
                           input.token_keys.begin() + begin + count);
    part.token_ids.assign(input.token_ids.begin() + begin, input.token_ids.begin() + begin + count);
    EXPECT_EQ(compare(together.narrow(0, begin, count),
                      dense_weights(make_router(config_)->route(part)), 1e-15),
              "");
  }
}

// A decoder's token outside of training may not depend on later ones.
TEST_P(EveryRouter, DoesNotLookAheadInACausalStack) {
  config_.priority = Priority::Probability;
  if (is_token_choice()) {
    set_limit(true);  // slots by position: a later first choice may still take a second one's slot
    config_.eval_capacity_factor = 100;
  } else {
    config_.eval_capacity_factor = 2;
  }
  const at::Tensor logits = random_tensor({23, 5}, 16);
  RouterInput input = make_input(logits);
  input.is_causal = true;
  const at::Tensor whole = dense_weights(make_router(config_)->route(input));
  for (const int64_t length : {1, 2, 11, 22}) {
    input.logits_TE = logits.narrow(0, 0, length);
    EXPECT_EQ(compare(dense_weights(make_router(config_)->route(input)), whole.narrow(0, 0, length),
                      1e-15),
              "");
  }
  input.logits_TE = logits;
  input.is_training = true;
  config_.train_capacity_factor = 2;
  EXPECT_EQ(compare(dense_weights(make_router(config_)->route(input)), whole, 1e-15).empty(),
            !make_router(config_)->differs_in_causal_evaluation());
}

TEST_P(EveryRouter, HasTheGradientsOfFiniteDifferences) {
  if (!is_learned()) {
    EXPECT_FALSE(route(random_tensor({23, 5}, 7)).combine_weight_A.requires_grad());
    return;
  }
  for (const bool has_limit : {false, true}) {
    set_limit(has_limit);
    if (has_limit) config_.eval_capacity_factor = 0.6;
    const at::Tensor logits = random_tensor({23, 5}, 7).requires_grad_(true);
    EXPECT_EQ(testing::check_gradients(
                  [&] {
                    const ops::Routing routing = route(logits, group_);
                    return testing::probe(at::cat(
                        {routing.combine_weight_A, routing.load_balance_loss.mul(20).reshape({1}),
                         routing.z_loss.reshape({1}), routing.probabilities_TE.reshape(-1)}));
                  },
                  {logits}),
              "");
  }
}

TEST_P(EveryRouter, ComputesInTheTypeOfItsLogits) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    const ops::Routing routing = route(random_tensor({6, 5}, 8, dtype));
    EXPECT_EQ(routing.combine_weight_A.scalar_type(), dtype);
    if (!is_learned()) continue;
    EXPECT_EQ(routing.load_balance_loss.scalar_type(), dtype);
    EXPECT_EQ(routing.z_loss.scalar_type(), dtype);
  }
}

TEST_P(EveryRouter, TakesOneToken) {
  set_limit(true);
  const int64_t num_kept = route(random_tensor({1, 5}, 1)).token_index_A.numel();
  EXPECT_EQ(num_kept, is_token_choice() ? experts_per_token() : 5);
}

// Routers in which tokens choose: what the loop version needs to know of them.
TEST_P(EveryRouter, AgreesWithItsLoopVersion) {
  static const std::map<std::string, size_t> kChoices = {
      {"switch", 1}, {"gshard", 2}, {"st-moe", 2},        {"top-k", 3}, {"top-2", 2},
      {"hash", 3},   {"random", 3}, {"expert-choice", 0}, {"dense", 5}};
  const auto choices = kChoices.find(config_.router);
  ASSERT_NE(choices, kChoices.end())
      << "router '" << config_.router << "' needs a line in kChoices, or a loop version of its own";
  if (!is_learned()) return;  // DrawnRouter below
  set_limit(true);
  for (const Priority priority : {Priority::Position, Priority::Probability})
    for (const int64_t capacity : {0, 1, 2, 4})
      for (const uint64_t seed : {1, 2, 3, 4}) {
        if (config_.router == "expert-choice" && capacity == 0) continue;  // takes none
        // between tokens a tie is one of rounding: exp and sum in another order break it
        const bool has_ties = seed == 4;
        if (has_ties && (priority == Priority::Probability || config_.router == "expert-choice"))
          continue;
        config_.is_dropless = capacity == 0;
        config_.capacity_rule = CapacityRule::Absolute;
        config_.expert_capacity = capacity;
        config_.priority = priority;
        at::Tensor logits = random_tensor({23, 5}, seed);
        if (has_ties) logits = logits.mul(1.5).round();
        const ops::Routing routing = route(logits, group_);
        LoopOptions options;
        options.k = choices->second;
        options.is_normalised = config_.combine_weights == CombineWeights::Normalised;
        options.is_prioritised = priority == Priority::Probability;
        options.capacity = capacity;
        const LoopRouting loop = config_.router == "expert-choice"
                                     ? route_by_expert_loop(matrix(logits), group_, 3, options)
                                     : route_by_loop(matrix(logits), group_, 3, options);
        if (config_.router == "dense") {  // all, whatever the capacity; weights are the softmax
          EXPECT_EQ(compare(dense_weights(routing), routing.probabilities_TE, 0), "");
          EXPECT_EQ(routing.requested, std::vector<int64_t>(5, 23));
        } else {
          EXPECT_EQ(routing.capacity, capacity);
          const auto got = assignments(routing, group_);
          std::set<std::tuple<int64_t, int64_t, int64_t>> want, have;
          std::map<std::pair<int64_t, int64_t>, double> weight;
          for (size_t t = 0; t < 23; ++t)
            for (size_t j = 0; j < loop.choices[t].size(); ++j)
              if (loop.slots[t][j] >= 0) {
                want.insert({static_cast<int64_t>(t), loop.choices[t][j], loop.slots[t][j]});
                weight[{static_cast<int64_t>(t), loop.choices[t][j]}] = loop.weights[t][j];
              }
          for (const Assignment& a : got) {
            have.insert({a.token, a.expert, a.slot});
            const double wanted = weight[{a.token, a.expert}];
            EXPECT_NEAR(a.weight, wanted, 1e-12);
          }
          EXPECT_EQ(have, want);
          EXPECT_EQ(routing.requested, loop.requested);
        }
        EXPECT_NEAR(routing.load_balance_loss.item<double>(), loop.load_balance_loss, 1e-12);
        EXPECT_NEAR(routing.z_loss.item<double>(), loop.z_loss, 1e-12);
      }
}

std::vector<Case> every_case() {
  std::vector<Case> cases;
  for (const std::string& name : router_registry().names())
    for (const CombineWeights weights : {CombineWeights::Raw, CombineWeights::Normalised})
      cases.push_back({name, weights});
  return cases;
}

INSTANTIATE_TEST_SUITE_P(
    Registry, EveryRouter, ::testing::ValuesIn(every_case()), [](const auto& instance) {
      std::string name =
          instance.param.router +
          (instance.param.combine_weights == CombineWeights::Raw ? "_raw" : "_normalised");
      std::replace_if(
          name.begin(), name.end(),
          [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
      return name;
    });

// ---- single routers

at::Tensor logits_of(const std::vector<std::vector<double>>& rows) {
  at::Tensor logits =
      at::zeros({static_cast<int64_t>(rows.size()), static_cast<int64_t>(rows[0].size())},
                at::TensorOptions(at::kDouble));
  for (size_t i = 0; i < rows.size(); ++i)
    for (size_t j = 0; j < rows[i].size(); ++j)
      logits[static_cast<int64_t>(i)][static_cast<int64_t>(j)] = rows[i][j];
  return logits;
}

TEST(Top2Router, GivesSlotsToAllFirstChoicesBeforeAnySecond) {
  Config config;
  config.num_experts = 3;
  config.capacity_rule = CapacityRule::Absolute;
  config.expert_capacity = 2;
  // Tokens 0 and 1 have expert 0 second, the later tokens 2 and 3 first.
  RouterInput input;
  input.logits_TE = logits_of({{2, 3, 0}, {2, 3, 0}, {3, 0, 2}, {3, 0, 2}});
  const ops::Routing routing = make_router(config)->route(input);
  EXPECT_EQ(routing.expert_offsets, (std::vector<int64_t>{0, 2, 4, 6}));
  EXPECT_EQ(integers(routing.token_index_A), (std::vector<int64_t>{2, 3, 0, 1, 2, 3}));
  EXPECT_EQ(routing.requested, (std::vector<int64_t>{4, 2, 2}));
  // Weights are normalised before the drop: those of tokens 0 and 1 do not grow.
  const double kept = 1 / (1 + std::exp(-1.0));
  for (double weight : doubles(routing.combine_weight_A.narrow(0, 2, 2)))
    EXPECT_NEAR(weight, kept, 1e-12);
}

TEST(Routers, NeedAsManyExpertsAsTheyChoose) {
  Config config;
  config.num_experts = 1;
  for (const char* router : {"top-2", "top-k", "gshard", "st-moe", "hash", "random"}) {
    config.router = router;
    expect_error(ErrorCode::InvalidConfig, "at least 2 experts, found 1",
                 [&] { make_router(config); });
  }
  config.router = "top-k";
  config.top_k = 0;
  expect_error(ErrorCode::InvalidConfig, "moe.top_k", [&] { make_router(config); });
  config.router = "expert-choice";
  config.is_dropless = true;
  expect_error(ErrorCode::InvalidConfig, "is_dropless", [&] { make_router(config); });
}

TEST(RouterRegistry, NamesWhatIsThereForAnUnknownRouter) {
  Config config;
  config.router = "top2";
  expect_error(ErrorCode::NotFound, "top-2", [&] { make_router(config); });
}

// facts.md item 98, on gates that are far apart.
TEST(GshardRouter, AsksForASecondExpertByItsPolicy) {
  Config config;
  config.router = "gshard";
  config.set_defaults();
  config.num_experts = 3;
  config.is_dropless = true;
  config.second_expert_threshold = 0.2;
  RouterInput input;
  // normalised second gates: 0.5, 0.25, 0.1
  for (const double gate : {0.5, 0.25, 0.1})
    input.token_keys.push_back(static_cast<int64_t>(gate * 1000));
  input.logits_TE = logits_of({{std::log(0.5), std::log(0.5), -30},
                               {std::log(0.75), std::log(0.25), -30},
                               {std::log(0.9), std::log(0.1), -30}});
  const auto seconds = [&](SecondExpertPolicy policy) {
    config.second_expert_policy = policy;
    const ops::Routing routing = make_router(config)->route(input);
    std::vector<int64_t> tokens;
    for (const Assignment& a : assignments(routing, {})) {
      if (a.expert == 1) tokens.push_back(a.token);
      // the first gate is not scaled up where the second is not asked for
      const double gate = a.token == 0 ? 0.5 : a.token == 1 ? 0.75 : 0.9;
      if (a.expert == 0) EXPECT_NEAR(a.weight, gate, 1e-9);
    }
    EXPECT_EQ(routing.requested[1], static_cast<int64_t>(tokens.size()));
    return tokens;
  };
  EXPECT_EQ(seconds(SecondExpertPolicy::All), (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(seconds(SecondExpertPolicy::None), (std::vector<int64_t>{}));
  EXPECT_EQ(seconds(SecondExpertPolicy::Threshold), (std::vector<int64_t>{0, 1}));
  // Random: always from the threshold on, below it in proportion; here with probability 1/2.
  int num_asked = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    input.noise = RandomKey(seed, RandomPurpose::RandomRouter);
    const auto tokens = seconds(SecondExpertPolicy::Random);
    ASSERT_GE(tokens.size(), 2u);
    num_asked += tokens.size() == 3;
  }
  EXPECT_NEAR(num_asked, 200, 50);  // 5 standard deviations
}

TEST(Priority, GivesSlotsToTheSurestTokens) {
  Config config;
  config.router = "switch";
  config.set_defaults();
  config.num_experts = 2;
  config.capacity_rule = CapacityRule::Absolute;
  config.expert_capacity = 2;
  RouterInput input;
  input.logits_TE = logits_of({{1, 0}, {3, 0}, {2, 0}, {2, 0}});
  EXPECT_EQ(integers(make_router(config)->route(input).token_index_A),
            (std::vector<int64_t>{0, 1}));
  config.priority = Priority::Probability;
  EXPECT_EQ(integers(make_router(config)->route(input).token_index_A),
            (std::vector<int64_t>{1, 2}));
  input.is_causal = true;  // would look at later tokens
  EXPECT_EQ(integers(make_router(config)->route(input).token_index_A),
            (std::vector<int64_t>{0, 1}));
  input.is_training = true;
  EXPECT_EQ(integers(make_router(config)->route(input).token_index_A),
            (std::vector<int64_t>{1, 2}));
}

class DrawnRouter : public ::testing::TestWithParam<const char*> {};

TEST_P(DrawnRouter, DrawsDifferentExpertsEvenly) {
  Config config;
  config.router = GetParam();
  config.set_defaults();
  config.num_experts = 5;
  config.top_k = 3;
  config.is_dropless = true;
  RouterInput input;
  input.logits_TE = at::zeros({6000, 5}, at::kFloat);
  const ops::Routing routing = make_router(config)->route(input);
  std::set<std::pair<int64_t, int64_t>> pairs;
  for (const Assignment& a : assignments(routing, {})) {
    EXPECT_TRUE(pairs.insert({a.token, a.expert}).second);
    EXPECT_NEAR(a.weight, 1.0 / 3, 1e-7);
  }
  EXPECT_EQ(pairs.size(), 18000u);
  for (const int64_t count : routing.requested)
    EXPECT_NEAR(static_cast<double>(count), 3600, 190);  // 5 standard deviations
  EXPECT_FALSE(routing.load_balance_loss.defined());

  // Slots in token order.
  config.is_dropless = false;
  config.capacity_rule = CapacityRule::Absolute;
  config.expert_capacity = 7;
  const ops::Routing limited = make_router(config)->route(input);
  EXPECT_EQ(limited.token_index_A.numel(), 35);
  for (const Assignment& a : assignments(limited, {}))
    EXPECT_TRUE(pairs.count({a.token, a.expert}));
}

INSTANTIATE_TEST_SUITE_P(Routers, DrawnRouter, ::testing::Values("hash", "random"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST(HashRouter, HangsOnTokenIdAndLayerOnly) {
  Config config;
  config.router = "hash";
  config.set_defaults();
  RouterInput input;
  input.logits_TE = at::zeros({64, 8}, at::kFloat);
  for (int64_t t = 0; t < 64; ++t) {
    input.token_ids.push_back(t % 32);
    input.token_keys.push_back(t);
  }
  const auto experts = [&] {
    std::vector<int64_t> expert(64);
    for (const Assignment& a : assignments(make_router(config)->route(input), {}))
      expert[static_cast<size_t>(a.token)] = a.expert;
    return expert;
  };
  const auto first = experts();
  EXPECT_TRUE(std::equal(first.begin(), first.begin() + 32, first.begin() + 32));
  input.is_training = true;
  input.noise = RandomKey(9, RandomPurpose::RandomRouter);
  EXPECT_EQ(experts(), first);
  input.layer = 1;
  EXPECT_NE(experts(), first);
}

TEST(RandomRouter, HangsOnKeysAndNoise) {
  Config config;
  config.router = "random";
  config.set_defaults();
  config.is_dropless = true;
  RouterInput input;
  input.logits_TE = at::zeros({64, 8}, at::kFloat);
  for (int64_t t = 0; t < 64; ++t) input.token_keys.push_back(t);
  const auto weights = [&] { return dense_weights(make_router(config)->route(input)); };
  const at::Tensor first = weights();
  EXPECT_EQ(compare(weights(), first, 0), "");
  input.noise = input.noise.fold(1);
  EXPECT_NE(compare(weights(), first, 0.1), "");
}

TEST(Capacity, IsItsRulesShareOfTheRequests) {
  Config config;
  config.num_experts = 8;
  config.train_capacity_factor = 1.25;
  config.eval_capacity_factor = 2;
  EXPECT_EQ(compute_capacity(config, 1, 24, true), 4);  // 3.75
  EXPECT_EQ(compute_capacity(config, 2, 24, true), 8);  // 7.5
  EXPECT_EQ(compute_capacity(config, 2, 24, false), 12);
  EXPECT_EQ(compute_capacity(config, 1, 1, true), 1);
  config.capacity_rounding = CapacityRounding::Down;
  EXPECT_EQ(compute_capacity(config, 1, 24, true), 3);
  EXPECT_EQ(compute_capacity(config, 2, 24, true), 7);
  config.capacity_rounding = CapacityRounding::Nearest;
  EXPECT_EQ(compute_capacity(config, 1, 24, true), 4);
  EXPECT_EQ(compute_capacity(config, 2, 24, true), 8);  // 7.5, halves to even
  EXPECT_EQ(compute_capacity(config, 2, 8, true), 2);   // 2.5
  config.capacity_rule = CapacityRule::PerToken;
  EXPECT_EQ(compute_capacity(config, 2, 24, true), 4);
  config.min_expert_capacity = 6;
  EXPECT_EQ(compute_capacity(config, 2, 24, true), 6);
  // Exactly whole although 1.1 * 10 is 11.000000000000002 in double.
  config.capacity_rounding = CapacityRounding::Up;
  config.num_experts = 1;
  config.train_capacity_factor = 1.1;
  EXPECT_EQ(compute_capacity(config, 1, 10, true), 11);
  config.capacity_rule = CapacityRule::Absolute;
  config.expert_capacity = 3;
  EXPECT_EQ(compute_capacity(config, 2, 1000, true), 3);
  config.is_dropless = true;
  EXPECT_EQ(compute_capacity(config, 2, 1000, true), 0);
}

TEST(Presets, SetWhatTheirCodesDo) {
  const auto make = [](Preset preset, const char* router) {
    Config config;
    config.preset = preset;
    config.router = router;
    config.num_experts = 64;
    config.set_defaults();
    EXPECT_EQ(config.num_experts, 64);
    return config;
  };
  const Config flaxformer = make(Preset::Flaxformer, "st-moe");
  EXPECT_EQ(compute_capacity(flaxformer, 2, 4096, true), 80);
  EXPECT_EQ(compute_capacity(flaxformer, 2, 16, true), 4);
  EXPECT_EQ(flaxformer.combine_weights, CombineWeights::Raw);
  EXPECT_EQ(flaxformer.balance_count, BalanceCount::AnyChoice);
  EXPECT_EQ(flaxformer.layer_reduction, LayerReduction::Mean);
  EXPECT_EQ(flaxformer.padding, PaddingRule::Counted);
  EXPECT_EQ(make(Preset::Flaxformer, "expert-choice").train_capacity_factor, 1);
  const Config mesh = make(Preset::MeshTf, "gshard");
  EXPECT_EQ(compute_capacity(mesh, 2, 100, false), 4);  // 3.125
  EXPECT_EQ(compute_capacity(mesh, 2, 250, false), 7);  // 7.8
  EXPECT_EQ(mesh.combine_weights, CombineWeights::Normalised);
  EXPECT_EQ(mesh.second_expert_policy, SecondExpertPolicy::Random);
  EXPECT_EQ(mesh.layer_reduction, LayerReduction::Sum);
  EXPECT_EQ(mesh.padding, PaddingRule::Excluded);
  const Config hf = make(Preset::Hf, "switch");
  EXPECT_EQ(compute_capacity(hf, 1, 1000, true), 64);
  EXPECT_EQ(hf.layer_reduction, LayerReduction::Pooled);
  EXPECT_TRUE(hf.jitters_experts);
  EXPECT_EQ(hf.load_balance_coefficient, 0.001);
}

// What the recipe names wins over what preset and router bring along, wherever it stands.
TEST(Config, TakesItsDefaultsFromPresetAndRouter) {
  Config config;
  parse_config(parse_toml("jitter = 0.5\nrouter = 'switch'\nnum_experts = 3", "x"), "moe", config);
  EXPECT_EQ(config.combine_weights, CombineWeights::Raw);
  EXPECT_EQ(config.jitter, 0.5);
  EXPECT_EQ(config.num_experts, 3);
  config.combine_weights = CombineWeights::Normalised;
  parse_config(parse_toml("num_experts = 4", "x"), "moe", config);  // names neither
  EXPECT_EQ(config.combine_weights, CombineWeights::Normalised);
  Config again;
  parse_config(to_config_node(config), "moe", again);
  EXPECT_EQ(to_toml(to_config_node(again)), to_toml(to_config_node(config)));
}

TEST(DecoderDefault, IsTopTwoForExpertChoice) {
  Config encoder;
  encoder.router = "expert-choice";
  encoder.num_experts = 6;
  encoder.set_defaults();
  EXPECT_EQ(decoder_default(encoder).router, "top-2");
  EXPECT_EQ(decoder_default(encoder).num_experts, 6);
  EXPECT_EQ(decoder_default(encoder).combine_weights, CombineWeights::Normalised);
  encoder.router = "st-moe";
  encoder.set_defaults();
  encoder.priority = Priority::Probability;
  EXPECT_EQ(decoder_default(encoder).router, "st-moe");
  EXPECT_EQ(decoder_default(encoder).priority, Priority::Position);
}

// f and P of a switch or top-k router.
ops::Routing losses_of(const at::Tensor& logits, int64_t k = 1,
                       BalanceCount count = BalanceCount::FirstChoice,
                       const std::vector<int64_t>& group = {}) {
  Config config;
  config.top_k = k;
  config.num_experts = logits.size(1);
  config.balance_count = count;
  RouterInput input;
  input.logits_TE = logits;
  input.group_of_token = group;
  input.num_groups = group.empty() ? 1 : group.back() + 1;
  return make_router(config)->route(input);
}

TEST(LoadBalanceLoss, IsOneForUniformRoutingAndTheNumberOfExpertsForCollapse) {
  const at::Tensor even = at::eye(4, at::TensorOptions(at::kDouble)).mul(1e-9);
  EXPECT_NEAR(losses_of(even).load_balance_loss.item<double>(), 1, 1e-6);
  at::Tensor collapsed = at::zeros({4, 4}, at::TensorOptions(at::kDouble));
  collapsed.select(1, 2).fill_(50);
  EXPECT_NEAR(losses_of(collapsed).load_balance_loss.item<double>(), 4, 1e-12);
  // Counting every choice of a token, uniform routing gives k.
  EXPECT_NEAR(losses_of(even.add(even.roll(1, 0)), 2, BalanceCount::AnyChoice)
                  .load_balance_loss.item<double>(),
              2, 1e-6);
}

TEST(LoadBalanceLoss, IsTheMeanOverGroupsThatHaveTokens) {
  const at::Tensor logits = random_tensor({6, 3}, 1);
  const double a = losses_of(logits.narrow(0, 0, 2)).load_balance_loss.item<double>(),
               b = losses_of(logits.narrow(0, 2, 4)).load_balance_loss.item<double>();
  for (const auto& group : {std::vector<int64_t>{0, 0, 1, 1, 1, 1}, {0, 0, 2, 2, 2, 2}})
    EXPECT_NEAR(
        losses_of(logits, 1, BalanceCount::FirstChoice, group).load_balance_loss.item<double>(),
        (a + b) / 2, 1e-12);
}

TEST(ReduceOverLayers, AddsAveragesOrPools) {
  const std::vector<int64_t> group = {0, 0, 0, 1, 1, 1};
  std::vector<nn::AuxiliaryLoss> losses;
  std::vector<ops::Routing> routings;
  for (const char* layer : {"encoder.block.1", "encoder.block.3", "decoder.block.1"}) {
    routings.push_back(losses_of(random_tensor({6, 3}, 70 + routings.size()), 1,
                                 BalanceCount::FirstChoice, group));
    const ops::Routing& routing = routings.back();
    losses.push_back({"load_balance_loss",
                      layer,
                      routing.load_balance_loss,
                      0.5,
                      {routing.load_share_GE, routing.mean_probability_GE}});
    losses.push_back({"z_loss", layer, routing.z_loss, 0.25, {}});
  }
  const auto total = [&](LayerReduction reduction) {
    double sum = 0;
    for (const auto& loss : reduce_over_layers(losses, reduction))
      sum += loss.coefficient * loss.value.item<double>();
    return sum;
  };
  double plain = 0, z[3], balance[3];
  for (size_t i = 0; i < 3; ++i) {
    z[i] = routings[i].z_loss.item<double>();
    balance[i] = routings[i].load_balance_loss.item<double>();
    plain += 0.5 * balance[i] + 0.25 * z[i];
  }
  EXPECT_NEAR(total(LayerReduction::Sum), plain, 1e-12);
  EXPECT_NEAR(total(LayerReduction::Mean), plain / 3, 1e-12);
  // Pooled by hand: the tokens of both encoder layers in one group of twice the size.
  double pooled = 0.5 * balance[2] + 0.25 * (z[2] + (z[0] + z[1]) / 2);
  for (int64_t g = 0; g < 2; ++g)
    for (int64_t e = 0; e < 3; ++e) {
      const auto mean = [&](const at::Tensor ops::Routing::*part) {
        return ((routings[0].*part)[g][e].item<double>() +
                (routings[1].*part)[g][e].item<double>()) /
               2;
      };
      pooled += 0.5 * 3 * mean(&ops::Routing::load_share_GE) *
                mean(&ops::Routing::mean_probability_GE) / 2;
    }
  EXPECT_NEAR(total(LayerReduction::Pooled), pooled, 1e-12);
}

// ---- against the papers' formulas (tests/golden/router-math)

struct GoldenCase {
  const char* name;
  const char* router;
  double capacity_factor;
  CapacityRule rule;
  CapacityRounding rounding;
};

void PrintTo(const GoldenCase& c, std::ostream* out) {
  *out << c.name;
}

class GoldenRouter : public ::testing::TestWithParam<GoldenCase> {};

TEST_P(GoldenRouter, HasTheReferencesPlan) {
  const testing::Golden golden = testing::load_golden("router-math");
  const auto [name, router, capacity_factor, rule, rounding] = GetParam();
  const Json& expected = golden.expected.at("cases").at(name);
  const auto tensor = [&](const char* part) {
    return golden[std::string(name) + "." + part].flatten(0, 1);
  };
  Config config;
  config.router = router;
  config.set_defaults();
  config.num_experts = 8;
  config.second_expert_policy = SecondExpertPolicy::All;
  config.capacity_rounding = rounding;
  config.eval_capacity_factor = capacity_factor;
  RouterInput input;
  input.logits_TE = golden["logits"].flatten(0, 1);
  for (int64_t t = 0; t < 48; ++t) input.group_of_token.push_back(t / 24);
  input.num_groups = 2;

  for (const bool is_absolute : {true, false}) {
    config.capacity_rule = is_absolute ? CapacityRule::Absolute : rule;
    config.expert_capacity = expected.at("capacity");
    const ops::Routing routing = make_router(config)->route(input);
    // a factor of 100 gives more slots than there are tokens
    EXPECT_EQ(std::min<int64_t>(routing.capacity, 24), expected.at("capacity").get<int64_t>());
    EXPECT_EQ(compare(routing.probabilities_TE, golden["router_probs"].flatten(0, 1), 1e-12, 1e-10),
              "");
    EXPECT_EQ(compare(dense_weights(routing), tensor("combine_weights"), 1e-12, 1e-10), "");

    std::vector<Assignment> want;
    const at::Tensor expert = tensor("expert_index"), kept = tensor("kept"),
                     slot = tensor("position_in_expert"), gate = tensor("gate");
    for (int64_t t = 0; t < 48; ++t)
      for (int64_t k = 0; k < expert.size(1); ++k)
        if (kept[t][k].item<int64_t>())
          want.push_back({t, expert[t][k].item<int64_t>(), slot[t][k].item<int64_t>(),
                          gate[t][k].item<double>()});
    const std::vector<Assignment> got = assignments(routing, input.group_of_token);
    EXPECT_EQ(got.size(), want.size());
    for (const Assignment& a : got) {
      const auto found = std::find(want.begin(), want.end(), a);
      ASSERT_NE(found, want.end())
          << "token " << a.token << " in slot " << a.slot << " of expert " << a.expert;
      EXPECT_NEAR(a.weight, found->weight, 1e-12);
    }
    for (const char* key : {"load_balance_loss", "aux_loss_mesh_form"})
      if (expected.contains(key)) {
        EXPECT_NEAR(routing.load_balance_loss.item<double>(), expected.at(key).get<double>(),
                    1e-10);
      }
    EXPECT_NEAR(routing.z_loss.item<double>(), golden.expected.at("z_loss").get<double>(), 1e-9);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, GoldenRouter,
    ::testing::Values(GoldenCase{"switch_top1.cf1.25", "switch", 1.25, CapacityRule::PerToken,
                                 CapacityRounding::Down},
                      GoldenCase{"switch_top1.cf1.25_ceil", "switch", 1.25, CapacityRule::PerChoice,
                                 CapacityRounding::Up},
                      GoldenCase{"switch_top1.cf1.0", "switch", 1, CapacityRule::PerToken,
                                 CapacityRounding::Down},
                      GoldenCase{"switch_top1.cf100.0", "switch", 100, CapacityRule::PerToken,
                                 CapacityRounding::Down},
                      GoldenCase{"gshard_top2.cf1.25", "gshard", 1.25, CapacityRule::PerToken,
                                 CapacityRounding::Down},
                      GoldenCase{"gshard_top2.cf2.0", "gshard", 2, CapacityRule::PerToken,
                                 CapacityRounding::Down},
                      GoldenCase{"gshard_top2.cf1.25_times_k", "gshard", 1.25,
                                 CapacityRule::PerChoice, CapacityRounding::Down},
                      GoldenCase{"gshard_top2.cf2.0_times_k", "gshard", 2, CapacityRule::PerChoice,
                                 CapacityRounding::Down},
                      GoldenCase{"gshard_top2.cf2.0", "top-2", 2, CapacityRule::PerToken,
                                 CapacityRounding::Down},
                      GoldenCase{"st_moe_top2.train", "st-moe", 1.25, CapacityRule::PerToken,
                                 CapacityRounding::Down},
                      GoldenCase{"st_moe_top2.eval", "st-moe", 2, CapacityRule::PerToken,
                                 CapacityRounding::Down}),
    [](const auto& instance) {
      std::string name = std::string(instance.param.router) + "_" + instance.param.name;
      std::replace_if(
          name.begin(), name.end(),
          [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
      return name;
    });

TEST(GoldenExpertChoice, HasTheReferencesPlan) {
  const testing::Golden golden = testing::load_golden("router-math");
  for (const double factor : {1.0, 2.0}) {
    const std::string name = factor == 1 ? "expert_choice.cf1.0" : "expert_choice.cf2.0";
    Config config;
    config.router = "expert-choice";
    config.set_defaults();
    config.num_experts = 8;
    config.eval_capacity_factor = factor;
    RouterInput input;
    input.logits_TE = golden["logits"].flatten(0, 1);
    for (int64_t t = 0; t < 48; ++t) input.group_of_token.push_back(t / 24);
    input.num_groups = 2;
    const ops::Routing routing = make_router(config)->route(input);
    const auto k = golden.expected.at("cases").at(name).at("tokens_per_expert_k").get<int64_t>();
    EXPECT_EQ(routing.capacity, k);
    EXPECT_EQ(compare(dense_weights(routing), golden[name + ".combine_weights"].flatten(0, 1),
                      1e-12, 1e-10),
              "");
    // in falling order of p, slot by slot
    const at::Tensor index = golden[name + ".token_index"], gate = golden[name + ".gate"];
    for (const Assignment& a : assignments(routing, input.group_of_token)) {
      const int64_t g = a.token / 24;
      EXPECT_EQ(a.token - 24 * g, index[g][a.expert][a.slot].item<int64_t>());
      EXPECT_NEAR(a.weight, gate[g][a.expert][a.slot].item<double>(), 1e-12);
    }
    EXPECT_EQ(routing.token_index_A.numel(), 2 * 8 * k);
  }
}

TEST(GoldenRouterLosses, HaveTheReferencesGradients) {
  const testing::Golden golden = testing::load_golden("router-math");
  const Json& values = golden.expected.at("load_balance_top1");
  Config config;
  config.router = "switch";
  RouterInput input;
  input.logits_TE = golden["logits"].flatten(0, 1).clone().requires_grad_(true);
  EXPECT_NEAR(make_router(config)->route(input).load_balance_loss.item<double>(),
              values.at("all_tokens_as_one_group").get<double>(), 1e-10);

  for (int64_t t = 0; t < 48; ++t) input.group_of_token.push_back(t / 24);
  input.num_groups = 2;
  make_router(config)->route(input).load_balance_loss.backward();
  EXPECT_EQ(compare(input.logits_TE.grad(),
                    golden["switch_top1.load_balance_grad_logits"].flatten(0, 1), 1e-12, 1e-10),
            "");
  input.logits_TE.mutable_grad().zero_();
  make_router(config)->route(input).z_loss.backward();
  EXPECT_EQ(
      compare(input.logits_TE.grad(), golden["z_loss_grad_logits"].flatten(0, 1), 1e-12, 1e-10),
      "");
}

// Masked tokens never reach a router: the plan over the others is the reference's with a mask.
TEST(GoldenRouterLosses, LeaveMaskedTokensOut) {
  const testing::Golden golden = testing::load_golden("router-math");
  const std::string name = "switch_top1_masked.cf1.25";
  const Json& expected = golden.expected.at("cases").at(name);
  const at::Tensor valid = golden[name + ".mask"].flatten().nonzero().squeeze(1);
  ASSERT_LT(valid.numel(), 48);
  Config config;
  config.router = "switch";
  config.num_experts = 8;
  config.combine_weights = CombineWeights::Raw;
  config.capacity_rule = CapacityRule::Absolute;
  config.expert_capacity = expected.at("capacity");
  RouterInput input;
  input.logits_TE = golden["logits"].flatten(0, 1).index_select(0, valid);
  for (int64_t t : integers(valid)) input.group_of_token.push_back(t / 24);
  input.num_groups = 2;
  const ops::Routing routing = make_router(config)->route(input);
  EXPECT_EQ(
      compare(dense_weights(routing),
              golden[name + ".combine_weights"].flatten(0, 1).index_select(0, valid), 1e-12, 1e-10),
      "");
  EXPECT_NEAR(routing.load_balance_loss.item<double>(),
              expected.at("load_balance_loss").get<double>(), 1e-10);
  EXPECT_NEAR(routing.z_loss.item<double>(), expected.at("z_loss").get<double>(), 1e-9);
}

}  // namespace
}  // namespace flanmoe::moe
