// The two ways of updating parameters against each other: loops over memory, and tensor operations.
#include "train/optimizers/tensor_updates.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/tensors.h"
#include "train/optimizers/optimizer.h"

namespace flanmoe::train {
namespace {

using testing::compare_bits;
using testing::doubles;
using testing::random_tensor;

struct Variant {
  std::string name;
  OptimizerConfig config;
};

std::vector<Variant> list_variants() {
  std::vector<Variant> variants;
  const auto add = [&](const std::string& name, const std::string& optimizer, auto change) {
    Variant variant{name, {}};
    variant.config.name = optimizer;
    variant.config.weight_decay = 0.1;
    change(variant.config);
    variants.push_back(variant);
  };
  const auto set_hf = [](OptimizerConfig& c) {
    c.preset = AdafactorPreset::HuggingFace;
    c.apply_preset();
  };
  add("adamw", "adamw", [](auto&) {});
  add("adamw_without_decay", "adamw", [](auto& c) { c.weight_decay = 0; });
  add("sgd", "sgd", [](auto&) {});
  add("sgd_momentum", "sgd", [](auto& c) { c.momentum = 0.9; });
  add("sgd_nesterov", "sgd", [](auto& c) { c.momentum = 0.9, c.has_nesterov = true; });
  add("adafactor_t5x", "adafactor", [](auto&) {});
  add("adafactor_t5x_first_moment", "adafactor", [](auto& c) { c.beta1 = 0.9; });
  add("adafactor_t5x_unscaled", "adafactor", [](auto& c) { c.scales_by_parameter = false; });
  add("adafactor_t5x_tight_clip", "adafactor", [](auto& c) { c.clipping_threshold = 0.05; });
  add("adafactor_hf", "adafactor", set_hf);
  add("adafactor_hf_first_moment", "adafactor", [&](auto& c) { set_hf(c), c.beta1 = 0.8; });
  return variants;
}

// Factored and not, stacked experts along an inner axis too, sizes off any vector width.
nn::Parameters make_parameters(at::ScalarType type) {
  const auto make = [&](const std::string& name, at::IntArrayRef sizes, uint64_t seed,
                        int expert_axis = -1) {
    nn::ParameterTags tags;
    tags.expert_axis = expert_axis;
    return nn::Parameter{name, random_tensor(sizes, seed).to(type).requires_grad_(true), tags};
  };
  return {make("matrix", {131, 1025}, 1), make("vector", {5003}, 2),
          make("experts", {5, 140, 130}, 3, 0), make("small_experts", {9, 3, 7}, 4, 1),
          make("small", {7, 9}, 5)};
}

class EveryVariant : public ::testing::TestWithParam<Variant> {
 protected:
  // Values and states after three steps.
  checkpoint::NamedTensors run(UpdatePath path, at::ScalarType type,
                               at::ScalarType gradient_type) const {
    const nn::Parameters parameters = make_parameters(type);
    const auto optimizer = make_optimizer(parameters, GetParam().config, {.seed = 3, .path = path});
    for (int64_t step = 1; step <= 3; ++step) {
      uint64_t seed = 100 * static_cast<uint64_t>(step);
      for (const nn::Parameter& parameter : parameters) {
        parameter.tensor.set_grad_dtype(gradient_type);
        parameter.tensor.mutable_grad() =
            random_tensor(parameter.tensor.sizes(), ++seed, gradient_type, 0.01);
      }
      optimizer->step(step, 0.01, 0.7);
    }
    checkpoint::NamedTensors tensors = optimizer->state();
    for (const nn::Parameter& parameter : parameters)
      tensors[parameter.name] = parameter.tensor.detach();
    return tensors;
  }
};
INSTANTIATE_TEST_SUITE_P(Optimizers, EveryVariant, ::testing::ValuesIn(list_variants()),
                         [](const auto& instance) { return instance.param.name; });

TEST_P(EveryVariant, GivesWhatTheLoopsGiveInFloat32) {
  for (const at::ScalarType gradient_type : {at::kFloat, at::kBFloat16}) {
    const checkpoint::NamedTensors want = run(UpdatePath::Loops, at::kFloat, gradient_type),
                                   got = run(UpdatePath::TensorOps, at::kFloat, gradient_type);
    ASSERT_EQ(got.size(), want.size());
    for (const auto& [name, tensor] : want)
      EXPECT_EQ(testing::compare(got.at(name), tensor, 1e-7, 1e-6), "") << name;
  }
}

// Both round the same noise up or down: where they differ, float32 sums fell on two sides of it.
TEST_P(EveryVariant, GivesWhatTheLoopsGiveInBfloat16) {
  const checkpoint::NamedTensors want = run(UpdatePath::Loops, at::kBFloat16, at::kBFloat16),
                                 got = run(UpdatePath::TensorOps, at::kBFloat16, at::kBFloat16);
  for (const auto& [name, tensor] : want) {
    if (tensor.scalar_type() != at::kBFloat16) {
      EXPECT_EQ(testing::compare(got.at(name), tensor, 1e-6, 1e-2), "") << name;
      continue;
    }
    const std::vector<double> x = doubles(got.at(name)), y = doubles(tensor);
    int64_t num_different = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      num_different += x[i] != y[i];
      ASSERT_LE(std::abs(x[i] - y[i]), std::abs(y[i]) * 0x1.0p-6) << name << " " << i;
    }
    EXPECT_LE(static_cast<double>(num_different), 1 + 1e-3 * static_cast<double>(x.size())) << name;
  }
}

at::Tensor round_by_loop(const at::Tensor& values, const RandomKey& key) {
  const at::Tensor rounded = at::empty(values.sizes(), at::TensorOptions().dtype(at::kBFloat16));
  kernels::round_stochastically(values.const_data_ptr<float>(),
                                static_cast<uint16_t*>(rounded.data_ptr()), values.numel(), key, 0);
  return rounded;
}

TEST(TensorUpdates, RoundStochasticallyBitForBit) {
  const float infinity = std::numeric_limits<float>::infinity();
  at::Tensor odd = at::full({12}, 0.0, at::kFloat);
  const std::vector<float> values{
      0.0f,     -0.0f,  infinity, -infinity, 3.4e38f,
      -3.4e38f, 1e-42f, -1e-45f,  1.5f,      std::numeric_limits<float>::quiet_NaN(),
      -0.3f,    1.0f};
  std::copy(values.begin(), values.end(), odd.mutable_data_ptr<float>());
  // every pattern of the upper bits, NaNs with and without sign among them
  const at::Tensor patterns =
      at::arange(int64_t{1} << 16, at::kLong).mul(int64_t{65537}).to(at::kInt).view(at::kFloat);
  for (const uint64_t seed : {0ull, 1ull, 0x8000000000000000ull, ~0ull}) {
    const RandomKey key(seed, RandomPurpose::StochasticRounding);
    for (const at::Tensor& x : {odd, patterns, random_tensor({37, 1001}, 9, at::kFloat),
                                random_tensor({1}, 9, at::kFloat)})
      EXPECT_EQ(compare_bits(tensor_updates::round_stochastically(x, key), round_by_loop(x, key)),
                "")
          << seed;
  }
}

// Longer than what is rounded at a time.
TEST(TensorUpdates, RoundLongTensorsBitForBit) {
  const at::Tensor x = at::arange(8400003, at::kFloat).mul_(0.37).sin_();
  const RandomKey key(5, RandomPurpose::StochasticRounding);
  EXPECT_EQ(compare_bits(tensor_updates::round_stochastically(x, key), round_by_loop(x, key)), "");
}

}  // namespace
}  // namespace flanmoe::train
