#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
#include "check.h"
#include "ops/ref/ref.h"
#include "ops/routing.h"

namespace flanmoe::ops {
namespace {

const at::ScalarType kDtypes[] = {at::kFloat, at::kDouble, at::kBFloat16};

// `choices` experts a token, uneven, some experts without tokens and some tokens without experts.
Routing make_routing(int64_t num_tokens, int64_t num_experts, int64_t choices,
                     at::ScalarType weight_dtype = at::kFloat) {
  const RandomKey key(3, RandomPurpose::RandomRouter);
  std::vector<AssignmentRequest> requests;
  for (int64_t c = 0; c < choices; ++c)
    for (int64_t t = 0; t < num_tokens; ++t) {
      const auto draw =
          key.below(static_cast<uint64_t>(num_experts), static_cast<uint64_t>(t * choices + c));
      if (t % 7 != 3) requests.push_back({t, static_cast<int64_t>(draw * draw) / num_experts});
    }
  const SlotAssignment slots = assign_slots(requests, num_experts, {0});
  Routing routing;
  routing.num_tokens = num_tokens;
  routing.num_experts = num_experts;
  routing.expert_offsets = slots.expert_offsets;
  std::vector<int64_t> tokens;
  for (const int64_t i : slots.kept) tokens.push_back(requests[static_cast<size_t>(i)].token);
  routing.token_index_A = index_tensor(tokens);
  routing.combine_weight_A = random_tensor({static_cast<int64_t>(tokens.size())}, 8, weight_dtype);
  return routing;
}

TEST(Dispatch, EqualsTheLoopVersion) {
  for (const auto dtype : kDtypes)
    for (const int64_t width : {1, 17, 130}) {
      const Routing routing = make_routing(37, 5, 2);
      const at::Tensor x = random_tensor({37, width}, 1, dtype);
      EXPECT_EQ(compare(dispatch(x, routing),
                        ref::dispatch(values(x), 37, indices(routing.token_index_A))),
                "");
    }
}

TEST(Combine, EqualsTheDenseFormula) {
  for (const auto dtype : kDtypes)
    for (const int64_t width : {1, 17, 130}) {
      const Routing routing = make_routing(37, 5, 2);
      const at::Tensor x = random_tensor({routing.token_index_A.numel(), width}, 1, dtype);
      const at::Tensor y = combine(x, routing);
      EXPECT_EQ(y.scalar_type(), dtype);
      EXPECT_EQ(compare(y, ref::combine(values(x), 37, indices(routing.token_index_A),
                                        values(routing.combine_weight_A))),
                "");
      for (const double value : values(y.select(0, 3)))
        EXPECT_EQ(value, 0) << "a token without an expert";
    }
}

TEST(Combine, HasTheGradientsOfFiniteDifferences) {
  Routing routing = make_routing(9, 3, 2, at::kDouble);
  const int64_t count = routing.token_index_A.numel();
  EXPECT_EQ(check_gradients(
                [=](const Inputs& in) {
                  Routing moved = routing;
                  moved.combine_weight_A = in[1];
                  return combine(in[0], moved);
                },
                {random_tensor({count, 5}, 1), routing.combine_weight_A}),
            "");
  EXPECT_EQ(check_gradients([=](const Inputs& in) { return dispatch(in[0], routing); },
                            {random_tensor({9, 5}, 1)}),
            "");
}

TEST(Combine, RefusesAnIndexOutsideTheTokens) {
  Routing routing = make_routing(9, 3, 2);
  const at::Tensor x = random_tensor({9, 5}, 1),
                   y = random_tensor({routing.token_index_A.numel(), 5}, 1);
  routing.token_index_A.select(0, 2).fill_(9);
  EXPECT_THROW(dispatch(x, routing), Error);
  EXPECT_THROW(combine(y, routing), Error);
  EXPECT_THROW(dispatch(x.narrow(0, 0, 8), routing), Error);
}

TEST(GroupedMatmul, EqualsTheLoopVersion) {
  for (const auto dtype : kDtypes)
    for (const std::vector<int64_t>& offsets :
         {std::vector<int64_t>{0, 3, 3, 20, 21}, {0, 0, 0, 0, 0}, {0, 0, 33, 33, 33}}) {
      const at::Tensor x = random_tensor({offsets.back(), 19}, 1, dtype),
                       weight = random_tensor({4, 23, 19}, 2, dtype);
      EXPECT_EQ(compare(grouped_matmul(x, weight, offsets),
                        ref::grouped_matmul(values(x), values(weight), 19, 23, offsets)),
                "")
          << dtype;
    }
}

TEST(GroupedMatmul, HasTheGradientsOfFiniteDifferences) {
  const std::vector<int64_t> offsets{0, 3, 3, 8};
  EXPECT_EQ(check_gradients([=](const Inputs& in) { return grouped_matmul(in[0], in[1], offsets); },
                            {random_tensor({8, 3}, 1), random_tensor({3, 5, 3}, 2)}),
            "");
}

TEST(GroupedMatmul, GivesZeroGradientToAnExpertWithoutRows) {
  const std::vector<int64_t> offsets{0, 3, 3, 8};
  const Inputs gradients = compute_gradients(
      [=](const Inputs& in) { return grouped_matmul(in[0], in[1], offsets); },
      {random_tensor({8, 3}, 1, at::kBFloat16), random_tensor({3, 5, 3}, 2, at::kBFloat16)});
  for (const double g : values(gradients[1].select(0, 1))) EXPECT_EQ(g, 0);
}

TEST(GroupedMatmul, ComputesAndKeepsNothingForAFrozenSide) {
  const std::vector<int64_t> offsets{0, 3, 3, 8};
  const at::Tensor grad = random_tensor({8, 5}, 3);
  const auto is_kept = [](const at::Tensor& tensor) {
    return tensor.use_count() > 1 || tensor.storage().use_count() > 1;
  };
  const auto gradients = [&](bool trains_x, bool trains_weight) {
    const Inputs leaves{random_tensor({8, 3}, 1).set_requires_grad(trains_x),
                        random_tensor({3, 5, 3}, 2).set_requires_grad(trains_weight)};
    const at::Tensor x = leaves[0].mul(1), weight = leaves[1].mul(1);
    const at::Tensor y = grouped_matmul(x, weight, offsets);
    EXPECT_EQ(is_kept(x), trains_weight);
    EXPECT_EQ(is_kept(weight), trains_x);
    y.backward(grad);
    return Inputs{leaves[0].grad(), leaves[1].grad()};
  };
  const Inputs both = gradients(true, true), of_x = gradients(true, false),
               of_weight = gradients(false, true);
  EXPECT_EQ(values(of_x[0]), values(both[0]));
  EXPECT_EQ(values(of_weight[1]), values(both[1]));
  EXPECT_FALSE(of_x[1].defined());
  EXPECT_FALSE(of_weight[0].defined());
}

TEST(GroupedMatmul, RefusesOffsetsThatDoNotFit) {
  const at::Tensor x = random_tensor({8, 3}, 1), weight = random_tensor({3, 5, 3}, 2);
  EXPECT_THROW(grouped_matmul(x, weight, {0, 3, 8}), Error);
  EXPECT_THROW(grouped_matmul(x, weight, {0, 3, 3, 7}), Error);
  EXPECT_THROW(grouped_matmul(x, weight, {}), Error);
  EXPECT_THROW(grouped_matmul(x, weight, {0, 5, 3, 8}), Error);
  EXPECT_THROW(grouped_matmul(x, weight.to(at::kFloat), {0, 3, 3, 8}), Error);
}

TEST(ExpertOps, GiveTheSameBytesWithOneAndTwoThreads) {
  for (const auto dtype : kDtypes) {
    Routing routing = make_routing(501, 7, 2);
    const at::Tensor x = random_tensor({501, 65}, 1, dtype),
                     weight = random_tensor({7, 33, 65}, 2, dtype);
    auto op = [&](const Inputs& in) {
      Routing moved = routing;
      moved.combine_weight_A = in[2];
      return combine(grouped_matmul(dispatch(in[0], routing), in[1], routing.expert_offsets),
                     moved);
    };
    EXPECT_EQ(compare_threads([&] {
                return compute_gradients(op, {x, weight, routing.combine_weight_A});
              }),
              "");
  }
}

TEST(AssignSlots, TakesRequestsInOrderUntilTheCapacity) {
  const std::vector<AssignmentRequest> requests{{0, 1}, {1, 1}, {2, 0}, {3, 1}, {4, 1}, {5, 0}};
  const SlotAssignment two = assign_slots(requests, 3, {2});
  EXPECT_EQ(two.kept, (std::vector<int64_t>{2, 5, 0, 1}));
  EXPECT_EQ(two.expert_offsets, (std::vector<int64_t>{0, 2, 4, 4}));
  const SlotAssignment all = assign_slots(requests, 3, {0});
  EXPECT_EQ(all.kept, (std::vector<int64_t>{2, 5, 0, 1, 3, 4}));
  const SlotAssignment grouped = assign_slots(requests, 3, {1, 1}, {1, 0, 1, 1, 0, 0});
  EXPECT_EQ(grouped.kept, (std::vector<int64_t>{5, 2, 1, 0}))
      << "group 0 before group 1 inside an expert";
  const SlotAssignment uneven = assign_slots(requests, 3, {2, 0}, {1, 0, 1, 0, 0, 0});
  EXPECT_EQ(uneven.kept, (std::vector<int64_t>{5, 2, 1, 3, 0}))
      << "two in group 0, no limit in group 1";
  EXPECT_THROW(assign_slots({{0, 0}}, 3, {0}, {1}), Error) << "a group without a capacity";
  EXPECT_EQ(assign_slots({}, 2, {3}).expert_offsets, (std::vector<int64_t>{0, 0, 0}));
  EXPECT_THROW(assign_slots({{0, 3}}, 3, {0}), Error);
  EXPECT_THROW(assign_slots({{2, 0}}, 3, {0}, {0, 0}), Error);
}

TEST(AssignSlots, NeverPassesTheCapacityAndFillsItWhereAskedFor) {
  const RandomKey key(5, RandomPurpose::RandomRouter);
  for (uint64_t trial = 0; trial < 50; ++trial) {
    RandomStream stream(key.fold(trial));
    const int64_t num_experts = stream.between(1, 6), num_tokens = stream.between(0, 60);
    std::vector<int64_t> capacities(static_cast<size_t>(stream.between(1, 4)));
    for (int64_t& capacity : capacities) capacity = stream.between(0, 5);
    const auto num_groups = static_cast<int64_t>(capacities.size());
    std::vector<int64_t> groups;
    for (int64_t t = 0; t < num_tokens; ++t) groups.push_back(stream.between(0, num_groups - 1));
    std::vector<AssignmentRequest> requests;
    for (int64_t t = 0; t < num_tokens; ++t)
      requests.push_back({t, stream.between(0, num_experts - 1)});
    const SlotAssignment slots = assign_slots(requests, num_experts, capacities, groups);
    std::map<std::pair<int64_t, int64_t>, int64_t> asked, given;
    std::vector<bool> is_kept(requests.size());
    for (const auto& [token, expert] : requests)
      ++asked[{expert, groups[static_cast<size_t>(token)]}];
    ASSERT_EQ(slots.expert_offsets.size(), static_cast<size_t>(num_experts) + 1);
    ASSERT_EQ(slots.expert_offsets.back(), static_cast<int64_t>(slots.kept.size()));
    for (int64_t e = 0; e < num_experts; ++e)
      for (int64_t i = slots.expert_offsets[static_cast<size_t>(e)];
           i < slots.expert_offsets[static_cast<size_t>(e) + 1]; ++i) {
        const auto index = static_cast<size_t>(slots.kept[static_cast<size_t>(i)]);
        EXPECT_EQ(requests[index].expert, e);
        EXPECT_FALSE(is_kept[index]);
        is_kept[index] = true;
        ++given[{e, groups[static_cast<size_t>(requests[index].token)]}];
      }
    for (const auto& [bin, count] : asked) {
      const int64_t capacity = capacities[static_cast<size_t>(bin.second)];
      EXPECT_EQ(given[bin], capacity == 0 ? count : std::min(count, capacity));
    }
    // first come, first served: nothing dropped stands before something kept in its bin
    std::map<std::pair<int64_t, int64_t>, bool> is_full;
    for (size_t i = 0; i < requests.size(); ++i) {
      auto& full = is_full[{requests[i].expert, groups[static_cast<size_t>(requests[i].token)]}];
      EXPECT_FALSE(is_kept[i] && full);
      full |= !is_kept[i];
    }
  }
}

TEST(RoutingStatistics, CountWhatIsKept) {
  Routing routing;
  routing.num_tokens = 4;
  routing.num_experts = 2;
  routing.token_index_A = index_tensor({0, 2, 0});
  routing.combine_weight_A = constant_tensor({3}, 0.5);
  routing.expert_offsets = {0, 2, 3};
  routing.requested = {3, 2};
  routing.probabilities_TE = constant_tensor({4, 2}, 0.5);
  routing.z_loss = constant_tensor({}, 2);
  const RoutingStatistics s = compute_statistics(routing);
  EXPECT_EQ(s.load, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(s.requested, (std::vector<int64_t>{3, 2}));
  EXPECT_NEAR(s.entropy, std::log(2.0), 1e-7);
  EXPECT_NEAR(s.fraction_dropped, 0.4, 1e-12);
  EXPECT_NEAR(s.fraction_unserved, 0.5, 1e-12);
  EXPECT_NEAR(s.mean_combine_weight, 0.5, 1e-7);
  EXPECT_EQ(s.z_loss, 2);
  EXPECT_EQ(s.load_balance_loss, 0);
  EXPECT_NEAR(load_variation({2, 1}), 1.0 / 3, 1e-12);
  EXPECT_EQ(load_variation({0, 0}), 0);
  EXPECT_EQ(load_variation({5, 5, 5}), 0);
}

}  // namespace
}  // namespace flanmoe::ops
