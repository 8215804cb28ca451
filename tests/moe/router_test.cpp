// Every router keeps the same contract; each agrees with its loop version and with the reference's
// numbers.
#include "moe/router.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <numeric>
#include <set>

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
    config_.combine_weights = GetParam().combine_weights;
    config_.num_experts = 5;
    config_.capacity_rule = CapacityRule::None;
  }
  ops::Routing route(const at::Tensor& logits, const std::vector<int64_t>& group = {},
                     bool is_training = false) const {
    RouterInput input;
    input.logits_TE = logits;
    input.is_training = is_training;
    input.group_of_token = group;
    input.num_groups = group.empty() ? 1 : group.back() + 1;
    return make_router(config_)->route(input);
  }
  int64_t experts_per_token() const { return make_router(config_)->experts_per_token(); }

  Config config_;
  std::vector<int64_t> group_ = {0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2,
                                 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2};
};

TEST_P(EveryRouter, ServesEveryTokenWhereThereIsNoLimit) {
  const ops::Routing routing = route(random_tensor({23, 5}, 1), group_);
  EXPECT_EQ(routing.num_tokens, 23);
  EXPECT_EQ(routing.num_experts, 5);
  EXPECT_EQ(routing.capacity, 0);
  std::set<std::pair<int64_t, int64_t>> pairs;
  for (const Assignment& a : assignments(routing, group_)) {
    EXPECT_TRUE(pairs.insert({a.token, a.expert}).second) << "token " << a.token << " twice";
    EXPECT_GT(a.weight, 0);
    EXPECT_LE(a.weight, 1 + 1e-12);
  }
  EXPECT_EQ(static_cast<int64_t>(pairs.size()), 23 * experts_per_token());
  const at::Tensor mass = dense_weights(routing).sum(1);
  if (config_.combine_weights == CombineWeights::Normalised) {
    EXPECT_EQ(compare(mass, mass.new_ones({23}), 1e-12), "");
  } else {
    EXPECT_LT(mass.min().item<double>(), 0.99);
  }
}

TEST_P(EveryRouter, NeverGivesMoreSlotsThanTheCapacity) {
  for (const bool is_training : {false, true})
    for (const double factor : {0.3, 1.0, 1.7})
      for (const uint64_t seed : {1, 2, 3}) {
        config_.capacity_rule = CapacityRule::PerChoice;
        (is_training ? config_.train_capacity_factor : config_.eval_capacity_factor) = factor;
        // A tilt makes some experts wanted by most.
        const at::Tensor logits =
            random_tensor({23, 5}, seed).add(random_tensor({5}, seed + 9).mul(2));
        const ops::Routing routing = route(logits, group_, is_training);
        std::map<std::pair<int64_t, int64_t>, int64_t> used;
        for (const Assignment& a : assignments(routing, group_))
          ++used[{a.expert, group_[static_cast<size_t>(a.token)]}];
        const int64_t sizes[] = {7, 4, 12};
        bool is_reached = false;
        for (const auto& [place, count] : used) {
          const auto capacity = std::max<int64_t>(
              1, static_cast<int64_t>(std::ceil(
                     factor * static_cast<double>(experts_per_token() * sizes[place.second]) / 5)));
          EXPECT_LE(count, capacity) << "expert " << place.first << ", group " << place.second;
          is_reached |= count == capacity;
        }
        EXPECT_TRUE(is_reached);
        const int64_t num_requested =
            std::accumulate(routing.requested.begin(), routing.requested.end(), int64_t{0});
        EXPECT_EQ(num_requested, 23 * experts_per_token());
        if (factor < 1) {
          EXPECT_LT(routing.token_index_A.numel(), num_requested);
        }
      }
}

TEST_P(EveryRouter, GivesTiesToTheLowerIndex) {
  for (const bool is_wide : {false, true}) {
    const ops::Routing routing = route(at::zeros({4, 5}, is_wide ? at::kDouble : at::kFloat));
    for (const Assignment& a : assignments(routing, {})) EXPECT_LT(a.expert, experts_per_token());
  }
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
  const ops::Routing plain = route(logits), permuted = route(logits.index_select(0, permutation));
  EXPECT_EQ(compare(dense_weights(permuted), dense_weights(plain).index_select(0, permutation), 0),
            "");
  EXPECT_EQ(plain.requested, permuted.requested);
  EXPECT_EQ(compare(plain.z_loss, permuted.z_loss, 1e-12), "");
  EXPECT_EQ(compare(plain.load_balance_loss, permuted.load_balance_loss, 1e-12), "");
}

TEST_P(EveryRouter, GivesTheSamePlanTwice) {
  config_.capacity_rule = CapacityRule::PerChoice;
  config_.eval_capacity_factor = 0.8;
  const at::Tensor logits = random_tensor({23, 5}, 5, at::kFloat);
  const ops::Routing a = route(logits, group_), b = route(logits, group_);
  EXPECT_EQ(integers(a.token_index_A), integers(b.token_index_A));
  EXPECT_EQ(a.expert_offsets, b.expert_offsets);
  EXPECT_EQ(testing::compare_bits(a.combine_weight_A, b.combine_weight_A), "");
}

TEST_P(EveryRouter, RoutesAGroupAsIfItWereAlone) {
  config_.capacity_rule = CapacityRule::PerChoice;
  config_.eval_capacity_factor = 0.8;
  const at::Tensor logits = random_tensor({23, 5}, 6);
  const at::Tensor together = dense_weights(route(logits, group_));
  EXPECT_EQ(compare(together.narrow(0, 0, 7), dense_weights(route(logits.narrow(0, 0, 7))), 1e-15),
            "");
  EXPECT_EQ(compare(together.narrow(0, 7, 4), dense_weights(route(logits.narrow(0, 7, 4))), 1e-15),
            "");
  EXPECT_EQ(
      compare(together.narrow(0, 11, 12), dense_weights(route(logits.narrow(0, 11, 12))), 1e-15),
      "");
}

TEST_P(EveryRouter, HasTheGradientsOfFiniteDifferences) {
  for (const CapacityRule rule : {CapacityRule::None, CapacityRule::PerChoice}) {
    config_.capacity_rule = rule;
    config_.eval_capacity_factor = 0.6;
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
    EXPECT_EQ(routing.load_balance_loss.scalar_type(), dtype);
    EXPECT_EQ(routing.z_loss.scalar_type(), dtype);
  }
}

TEST_P(EveryRouter, TakesOneToken) {
  config_.capacity_rule = CapacityRule::PerChoice;
  EXPECT_EQ(route(random_tensor({1, 5}, 1)).token_index_A.numel(), experts_per_token());
}

// Routers in which tokens choose: what the loop version needs to know of them.
TEST_P(EveryRouter, AgreesWithItsLoopVersion) {
  static const std::map<std::string, size_t> kChoices = {{"switch", 1}, {"top-2", 2}};
  const auto choices = kChoices.find(config_.router);
  ASSERT_NE(choices, kChoices.end())
      << "router '" << config_.router << "' needs a line in kChoices, or a loop version of its own";
  ASSERT_EQ(static_cast<int64_t>(choices->second), experts_per_token());
  for (const int64_t capacity : {0, 1, 2, 4})
    for (const uint64_t seed : {1, 2, 3, 4}) {
      config_.capacity_rule = capacity ? CapacityRule::Absolute : CapacityRule::None;
      config_.expert_capacity = capacity;
      at::Tensor logits = random_tensor({23, 5}, seed);
      if (seed == 4) logits = logits.mul(1.5).round();  // many ties
      const ops::Routing routing = route(logits, group_);
      const LoopRouting loop = route_by_loop(matrix(logits), choices->second,
                                             config_.combine_weights == CombineWeights::Normalised,
                                             group_, 3, {capacity, capacity, capacity});
      EXPECT_EQ(routing.requested, loop.requested);
      EXPECT_EQ(routing.capacity, capacity);
      EXPECT_NEAR(routing.load_balance_loss.item<double>(), loop.load_balance_loss, 1e-12);
      EXPECT_NEAR(routing.z_loss.item<double>(), loop.z_loss, 1e-12);
      size_t num_kept = 0;
      for (const auto& slots : loop.slots)
        num_kept += static_cast<size_t>(
            std::count_if(slots.begin(), slots.end(), [](int64_t s) { return s >= 0; }));
      const auto got = assignments(routing, group_);
      EXPECT_EQ(got.size(), num_kept);
      for (const Assignment& a : got) {
        const auto& choice = loop.choices[static_cast<size_t>(a.token)];
        const auto j =
            static_cast<size_t>(std::find(choice.begin(), choice.end(), a.expert) - choice.begin());
        ASSERT_LT(j, choice.size()) << "token " << a.token << " did not choose expert " << a.expert;
        EXPECT_EQ(a.slot, loop.slots[static_cast<size_t>(a.token)][j]);
        EXPECT_NEAR(a.weight, loop.weights[static_cast<size_t>(a.token)][j], 1e-12);
      }
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

TEST(Top2Router, NeedsTwoExperts) {
  Config config;
  config.num_experts = 1;
  expect_error(ErrorCode::InvalidConfig, "num_experts", [&] { make_router(config); });
}

TEST(RouterRegistry, NamesWhatIsThereForAnUnknownRouter) {
  Config config;
  config.router = "top2";
  expect_error(ErrorCode::NotFound, "top-2", [&] { make_router(config); });
}

TEST(Capacity, IsTheCeilingOfItsShareOfTheRequests) {
  Config config;
  config.num_experts = 8;
  config.train_capacity_factor = 1.25;
  config.eval_capacity_factor = 2;
  EXPECT_EQ(compute_capacity(config, 1, 24, true), 4);  // 3.75
  EXPECT_EQ(compute_capacity(config, 2, 24, true), 8);  // 7.5
  EXPECT_EQ(compute_capacity(config, 2, 24, false), 12);
  EXPECT_EQ(compute_capacity(config, 1, 1, true), 1);
  // Exactly whole although 1.1 * 10 is 11.000000000000002 in double.
  config.num_experts = 1;
  config.train_capacity_factor = 1.1;
  EXPECT_EQ(compute_capacity(config, 1, 10, true), 11);
  config.capacity_rule = CapacityRule::Absolute;
  config.expert_capacity = 3;
  EXPECT_EQ(compute_capacity(config, 2, 1000, true), 3);
  config.capacity_rule = CapacityRule::None;
  EXPECT_EQ(compute_capacity(config, 2, 1000, true), 0);
}

TEST(LoadBalanceLoss, IsOneForUniformRoutingAndTheNumberOfExpertsForCollapse) {
  const at::Tensor choices = testing::index_tensor({0, 1, 2, 3});
  const at::Tensor uniform = at::zeros({4, 4}, at::TensorOptions(at::kDouble)).add(0.25);
  EXPECT_NEAR(compute_load_balance_loss(uniform, choices, {}, 1).item<double>(), 1, 1e-12);
  at::Tensor collapsed = at::zeros({4, 4}, at::TensorOptions(at::kDouble));
  collapsed.select(1, 2).fill_(1);
  EXPECT_NEAR(compute_load_balance_loss(collapsed, testing::index_tensor({2, 2, 2, 2}), {}, 1)
                  .item<double>(),
              4, 1e-12);
}

TEST(LoadBalanceLoss, IsTheMeanOverGroupsThatHaveTokens) {
  const at::Tensor p = random_tensor({6, 3}, 1).softmax(1),
                   choice = testing::index_tensor({0, 1, 2, 0, 0, 1});
  const double a =
      compute_load_balance_loss(p.narrow(0, 0, 2), choice.narrow(0, 0, 2), {}, 1).item<double>();
  const double b =
      compute_load_balance_loss(p.narrow(0, 2, 4), choice.narrow(0, 2, 4), {}, 1).item<double>();
  EXPECT_NEAR(compute_load_balance_loss(p, choice, {0, 0, 1, 1, 1, 1}, 2).item<double>(),
              (a + b) / 2, 1e-12);
  EXPECT_NEAR(compute_load_balance_loss(p, choice, {0, 0, 2, 2, 2, 2}, 3).item<double>(),
              (a + b) / 2, 1e-12);
}

// ---- against the papers' formulas (tests/golden/router-math)

struct GoldenCase {
  const char* name;
  const char* router;
  bool is_normalised;
  double per_choice_factor;  // > 0: our own rule gives the same capacity
};

void PrintTo(const GoldenCase& c, std::ostream* out) {
  *out << c.name;
}

class GoldenRouter : public ::testing::TestWithParam<GoldenCase> {};

TEST_P(GoldenRouter, HasTheReferencesPlan) {
  const testing::Golden golden = testing::load_golden("router-math");
  const auto [name, router, is_normalised, per_choice_factor] = GetParam();
  const Json& expected = golden.expected.at("cases").at(name);
  const auto tensor = [&](const char* part) {
    return golden[std::string(name) + "." + part].flatten(0, 1);
  };
  Config config;
  config.router = router;
  config.num_experts = 8;
  config.combine_weights = is_normalised ? CombineWeights::Normalised : CombineWeights::Raw;
  RouterInput input;
  input.logits_TE = golden["logits"].flatten(0, 1);
  for (int64_t t = 0; t < 48; ++t) input.group_of_token.push_back(t / 24);
  input.num_groups = 2;

  for (const bool is_absolute : {true, false}) {
    if (!is_absolute && per_choice_factor == 0) continue;
    config.capacity_rule = is_absolute ? CapacityRule::Absolute : CapacityRule::PerChoice;
    config.expert_capacity = expected.at("capacity");
    config.eval_capacity_factor = per_choice_factor;
    const ops::Routing routing = make_router(config)->route(input);
    EXPECT_EQ(routing.capacity, expected.at("capacity").get<int64_t>());
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
    ::testing::Values(GoldenCase{"switch_top1.cf1.25", "switch", false, 0},
                      GoldenCase{"switch_top1.cf1.25_ceil", "switch", false, 1.25},
                      GoldenCase{"switch_top1.cf1.0", "switch", false, 1},
                      GoldenCase{"switch_top1.cf100.0", "switch", false, 8},
                      GoldenCase{"gshard_top2.cf1.25", "top-2", true, 0},
                      GoldenCase{"gshard_top2.cf2.0", "top-2", true, 1},
                      GoldenCase{"gshard_top2.cf1.25_times_k", "top-2", true, 0},
                      GoldenCase{"gshard_top2.cf2.0_times_k", "top-2", true, 2},
                      GoldenCase{"st_moe_top2.train", "top-2", true, 0},
                      GoldenCase{"st_moe_top2.eval", "top-2", true, 1}),
    [](const auto& instance) {
      std::string name = instance.param.name;
      std::replace(name.begin(), name.end(), '.', '_');
      return name;
    });

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
