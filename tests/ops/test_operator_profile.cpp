#include <ATen/ops/addmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/ones_like.h>
#include <gtest/gtest.h>

#include <chrono>

#include "ops/operator_profile.h"
#include "ops/transformer.h"

namespace flanmoe::ops {
namespace {

const OperatorCost* find(const std::vector<OperatorCost>& costs, const std::string& phase,
                         const std::string& name) {
  for (const OperatorCost& cost : costs)
    if (cost.phase == phase && cost.name == name) return &cost;
  return nullptr;
}

TEST(OperatorProfile, CountsCallsAndFlopsByPhase) {
  const at::Tensor a = at::ones({3, 5}), b = at::ones({5, 7}).requires_grad_(true);
  (void)at::matmul(a, b);  // before it looks
  const auto start = std::chrono::steady_clock::now();
  OperatorProfile profile;
  (void)at::matmul(a, b);  // in no phase
  at::Tensor y;
  for (int i = 0; i < 2; ++i) {
    profile.begin_phase("forward");
    y = at::matmul(a, b);
    (void)at::addmm(at::ones({7}), a, b);
    (void)at::bmm(at::ones({2, 3, 5}), at::ones({2, 5, 4}));
    profile.end_phase();
    profile.begin_phase("backward");
    y.backward(at::ones_like(y));
    profile.end_phase();
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const std::vector<OperatorCost> costs = profile.costs();
  const OperatorCost* mm = find(costs, "forward", "aten::mm");
  ASSERT_TRUE(mm);
  EXPECT_EQ(mm->num_calls, 2);
  EXPECT_EQ(mm->flops, 2 * 2 * 3 * 5 * 7);
  EXPECT_EQ(find(costs, "forward", "aten::matmul")->flops, 0);  // that of mm inside
  EXPECT_EQ(find(costs, "forward", "aten::addmm")->flops, 2 * 2 * 3 * 5 * 7);
  EXPECT_EQ(find(costs, "forward", "aten::bmm")->flops, 2 * 2 * 2 * 3 * 5 * 4);
  EXPECT_EQ(find(costs, "backward", "aten::mm")->flops, 2 * 2 * 3 * 5 * 7);
  double sum = 0;
  for (const OperatorCost& cost : costs) {
    EXPECT_GE(cost.seconds, 0) << cost.name;
    sum += cost.seconds;
  }
  EXPECT_GT(sum, 0);
  EXPECT_LE(sum, seconds);
}

TEST(OperatorProfile, SeesOurKernelsForwardAndBackward) {
  const at::Tensor x = at::ones({4, 8}).requires_grad_(true),
                   weight = at::ones({8}).requires_grad_(true);
  OperatorProfile profile;
  profile.begin_phase("forward");
  const at::Tensor y = rms_norm(x, weight, 1e-6);
  profile.end_phase();
  profile.begin_phase("backward");
  y.backward(at::ones_like(y));
  profile.end_phase();
  const std::vector<OperatorCost> costs = profile.costs();
  for (const char* phase : {"forward", "backward"}) {
    const OperatorCost* norm = find(costs, phase, "flanmoe::rms_norm");
    ASSERT_TRUE(norm) << phase;
    EXPECT_EQ(norm->num_calls, 1);
    EXPECT_GT(norm->seconds, 0);
  }
}

TEST(OperatorProfile, LooksNoLongerThanItLives) {
  { OperatorProfile profile; }
  const at::Tensor y = rms_norm(at::ones({2, 2}), at::ones({2}), 1e-6);
  OperatorProfile profile;
  EXPECT_TRUE(profile.costs().empty());
}

}  // namespace
}  // namespace flanmoe::ops
