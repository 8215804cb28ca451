// CUDA against CPU, values and gradients. Fails where the machine has no CUDA device
// (cmake/tests.cmake).
#include <gtest/gtest.h>

#include "base/random.h"
#include "check.h"
#include "ops/device.h"
#include "ops/routing.h"
#include "ops/transformer.h"

namespace flanmoe::ops {
namespace {

class Cuda : public testing::Test {
 protected:
  void SetUp() override { require_cuda(); }

  // `function` on CPU and on CUDA tensors. Its other tensors go where `in[0]` is.
  static void expect_same(const std::function<at::Tensor(const Inputs&)>& function,
                          const Inputs& inputs) {
    Inputs moved;
    for (const at::Tensor& input : inputs) moved.push_back(input.to(at::kCUDA));
    EXPECT_EQ(compare(function(moved).to(at::kCPU), values(function(inputs))), "");
    const Inputs here = compute_gradients(function, inputs),
                 there = compute_gradients(function, moved);
    for (size_t i = 0; i < here.size(); ++i)
      EXPECT_EQ(compare(values(there[i].to(at::kCPU)), values(here[i]), {1e-4, 1e-4}), "")
          << "gradient " << i;
  }
};

at::Tensor token_keys(int64_t count, const at::Tensor& like) {
  std::vector<int64_t> keys;
  for (int64_t i = 0; i < count; ++i)
    keys.push_back(static_cast<int64_t>(mix64(static_cast<uint64_t>(i))));
  return index_tensor(keys).to(like.device());
}

TEST_F(Cuda, RowOpsEqualThoseOfTheCpu) {
  const at::Tensor x = random_tensor({37, 301}, 1, at::kFloat),
                   y = random_tensor({37, 301}, 2, at::kFloat),
                   weight = random_tensor({301}, 3, at::kFloat);
  expect_same([](const Inputs& in) { return rms_norm(in[0], in[1], 1e-6); }, {x, weight});
  expect_same([](const Inputs& in) { return gated_gelu(in[0], in[1]); }, {x, y});
  expect_same(
      [](const Inputs& in) {
        return dropout(in[0], 0.3, {7, token_keys(37, in[0])});
      },
      {x});
  expect_same([](const Inputs& in) { return jitter(in[0], 0.1, {7, token_keys(37, in[0])}); }, {x});
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < 37; ++i) labels.push_back(i % 5 == 3 ? -100 : i * 7);
  expect_same(
      [&](const Inputs& in) {
        return cross_entropy(in[0], index_tensor(labels).to(in[0].device()), {1e-3, 0.1});
      },
      {x});
}

TEST_F(Cuda, AttentionEqualsThatOfTheCpu) {
  const int64_t rows = 3, length = 17, heads = 2, width = 8;
  const Inputs inputs{random_tensor({rows, length, heads, width}, 1, at::kFloat),
                      random_tensor({rows, length, heads, width}, 2, at::kFloat),
                      random_tensor({rows, length, heads, width}, 3, at::kFloat),
                      random_tensor({32, heads}, 4, at::kFloat)};
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < rows * length; ++i)
    ids.push_back(i % length < 7 ? 1 : i % length < 15 ? 2 : 0);
  for (const bool is_causal : {false, true})
    for (const double rate : {0.0, 0.3})
      expect_same(
          [&](const Inputs& in) {
            const at::Tensor segments = index_tensor(ids, {rows, length}).to(in[0].device());
            const AttentionDropout noise{
                rate, {5, token_keys(rows * length, in[0]).view({rows, length})}};
            const at::Tensor bias =
                relative_position_bias(in[3], length, length, 0, !is_causal, 16);
            return attention(in[0], in[1], in[2], bias, {segments, segments, is_causal, 0}, noise);
          },
          inputs);
}

TEST_F(Cuda, ExpertOpsEqualThoseOfTheCpu) {
  Routing routing;
  routing.num_tokens = 9;
  routing.num_experts = 3;
  routing.expert_offsets = {0, 4, 4, 10};
  const std::vector<int64_t> tokens{0, 2, 3, 8, 0, 1, 3, 4, 7, 8};
  expect_same(
      [&](const Inputs& in) {
        Routing moved = routing;
        moved.token_index_A = index_tensor(tokens).to(in[0].device());
        moved.combine_weight_A = in[2];
        return combine(grouped_matmul(dispatch(in[0], moved), in[1], routing.expert_offsets),
                       moved);
      },
      {random_tensor({9, 20}, 1, at::kFloat), random_tensor({3, 33, 20}, 2, at::kFloat),
       random_tensor({10}, 3, at::kFloat)});
}

}  // namespace
}  // namespace flanmoe::ops
