// The checkers themselves: each has to object to a planted error.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>

#include "check.h"
#include "ops/autograd.h"
#include "ops/transformer.h"

namespace flanmoe::ops {

TEST(Check, ObjectsToWrongValues) {
  const at::Tensor x = random_tensor({3, 5}, 1);
  const std::vector<double> right = values(x);
  EXPECT_EQ(compare(x, right), "");
  std::vector<double> wrong = right;
  wrong[7] = -wrong[7];
  EXPECT_NE(compare(x, wrong), "") << "sign";
  wrong = right;
  wrong[7] = std::nan("");
  EXPECT_NE(compare(x, wrong), "") << "NaN expected";
  EXPECT_NE(compare(wrong, right, tolerance(at::kDouble)), "") << "NaN found";
  wrong = right;
  wrong[14] += 1e-6;
  EXPECT_NE(compare(x, wrong), "") << "last element";
  EXPECT_NE(compare(x, {right.begin() + 5, right.end()}), "") << "off by one row";
  std::vector<double> rotated(right.begin() + 5, right.end());
  rotated.insert(rotated.end(), right.begin(), right.begin() + 5);
  EXPECT_NE(compare(x, rotated), "") << "rows rotated";
  EXPECT_NE(compare({1e30}, {-1e30}, tolerance(at::kBFloat16)), "");
  EXPECT_NE(compare({-50.}, {-5.}, tolerance(at::kBFloat16)), "");
}

TEST(Check, ObjectsToOtherBytes) {
  const at::Tensor x = random_tensor({4}, 1, at::kFloat);
  EXPECT_EQ(compare_bytes(x, x.clone()), "");
  EXPECT_NE(compare_bytes(x, x.to(at::kDouble)), "");
  EXPECT_NE(compare_bytes(x, x.nextafter(x.add(1))), "");
}

namespace {

// y = x * x with a backward that multiplies by `slope` x.
at::Tensor square(const at::Tensor& x, double slope) {
  return record(x.detach().mul(x.detach()), {x}, {x}, [slope](const BackwardCall& call) {
    return std::vector<at::Tensor>{call.grad.mul(call.saved[0].detach()).mul(slope)};
  });
}

}  // namespace

TEST(Check, ObjectsToWrongGradients) {
  const Inputs x{random_tensor({3, 2}, 1)};
  auto with_slope = [](double slope) {
    return [slope](const Inputs& in) {
      return in[0].requires_grad() ? square(in[0], slope) : in[0].mul(in[0]);
    };
  };
  EXPECT_EQ(check_gradients(with_slope(2), x), "");
  EXPECT_NE(check_gradients(with_slope(-2), x), "");
  EXPECT_NE(check_gradients(with_slope(2.0001), x), "");
  EXPECT_NE(check_gradients(with_slope(std::nan("")), x), "");
}

TEST(Check, ObjectsToResultsThatDependOnThreads) {
  EXPECT_EQ(compare_threads([] { return Inputs{random_tensor({3}, 1)}; }), "");
  EXPECT_NE(compare_threads([] {
              return Inputs{random_tensor({3}, static_cast<uint64_t>(at::get_num_threads()))};
            }),
            "");
}

}  // namespace flanmoe::ops
