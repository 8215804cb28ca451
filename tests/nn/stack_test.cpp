// Stacks and their parts: the reference's residual stream block by block, deltas, the cache.
#include "nn/stack.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "nn/kv_cache.h"
#include "ops/transformer.h"
#include "support/golden.h"
#include "support/tensors.h"

namespace flanmoe::nn {
namespace {

using testing::compare;
using testing::random_tensor;

// ---- against transformers

class GoldenStack : public ::testing::TestWithParam<const char*> {
 protected:
  GoldenStack()
      : golden_(testing::load_golden(GetParam())),
        weights_(checkpoint::load_safetensors(golden_.folder + "/model.safetensors")),
        json_(load_json(golden_.folder + "/config.json")) {}

  std::unique_ptr<Stack> make_stack(bool is_decoder) const {
    const at::NoGradGuard no_grad;
    StackConfig config;
    config.name = is_decoder ? "decoder" : "encoder";
    config.is_decoder = is_decoder;
    config.num_layers = json_.at(is_decoder ? "num_decoder_layers" : "num_layers");
    config.attention = {json_.at("d_model"), json_.at("num_heads"), json_.at("d_kv"), 0};
    const FeedForwardConfig block{json_.at("d_model"), json_.at("d_ff"),
                                  json_.at("feed_forward_proj") == "gated-gelu", 0};
    auto stack = std::make_unique<Stack>(
        config,
        [&](int64_t, const std::string& prefix) {
          return std::make_unique<DenseFeedForward>(block, prefix, at::TensorOptions(at::kFloat));
        },
        at::TensorOptions(at::kFloat));
    Parameters parameters;
    stack->collect(parameters);
    for (const Parameter& parameter : parameters)
      parameter.tensor.detach().copy_(weights_.at(parameter.name));
    return stack;
  }
  at::Tensor embed(const std::string& ids) const {
    return weights_.at("shared.weight")
        .index_select(0, golden_[ids].reshape(-1))
        .view({golden_[ids].size(0), golden_[ids].size(1), -1});
  }
  // Rows of [B, L, D] at real tokens.
  static at::Tensor real(const at::Tensor& x_BLD, const TokenLayout& layout) {
    return x_BLD.reshape({-1, x_BLD.size(2)}).index_select(0, layout.real_index_N);
  }
  void expect_stream(const std::string& stack, const std::vector<at::Tensor>& inputs,
                     const at::Tensor& last, const TokenLayout& layout) const {
    ASSERT_EQ(inputs.size(), 4u);
    for (size_t i = 0; i < inputs.size(); ++i) {
      const std::string name = stack + ".block_input." + std::to_string(i);
      EXPECT_EQ(compare(real(inputs[i], layout), real(golden_[name], layout), 1e-4, 1e-5), "")
          << name;
    }
    EXPECT_EQ(compare(real(last, layout), real(golden_[stack + "_last_hidden_state"], layout), 1e-4,
                      1e-5),
              "");
  }

  testing::Golden golden_;
  checkpoint::NamedTensors weights_;
  Json json_;
};

TEST_P(GoldenStack, HasTheReferencesStreamBeforeEveryBlock) {
  const at::NoGradGuard no_grad;
  const auto encoder = make_stack(false), decoder = make_stack(true);
  const TokenLayout input_layout = make_layout(3, 32, golden_["attention_mask"]);
  const TokenLayout target_layout = make_layout(3, 12, golden_["labels"].ne(-100).to(at::kLong));
  Context context;
  context.tokens = &input_layout;
  std::vector<at::Tensor> inputs;
  const at::Tensor memory = encoder->forward(embed("input_ids"), {}, context, &inputs);
  expect_stream("encoder", inputs, memory, input_layout);

  context.tokens = &target_layout;
  context.memory_tokens = &input_layout;
  inputs.clear();
  const at::Tensor last = decoder->forward(embed("decoder_input_ids"), memory, context, &inputs);
  expect_stream("decoder", inputs, last, target_layout);
}

TEST_P(GoldenStack, HasTheReferencesPositionBias) {
  for (const bool is_decoder : {false, true}) {
    const std::string stack = is_decoder ? "decoder" : "encoder";
    const at::Tensor want = golden_[stack + ".position_bias"][0];
    const at::Tensor got = ops::relative_position_bias(
        weights_.at(stack + ".block.0.layer.0.SelfAttention.relative_attention_bias.weight"),
        want.size(1), want.size(2), 0, !is_decoder, 128);
    EXPECT_EQ(compare(got, want, 1e-6), "") << stack;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenStack, ::testing::Values("t5-v1_0-tiny", "t5-v1_1-tiny"),
                         [](const auto& instance) {
                           return std::string(instance.param).substr(0, 7).replace(2, 1, "_");
                         });

// ---- parts

void fill(const Parameters& parameters, uint64_t seed) {
  const at::NoGradGuard no_grad;
  for (const Parameter& parameter : parameters)
    parameter.tensor.detach().copy_(
        random_tensor(parameter.tensor.sizes(), seed++, at::kDouble, 0.3));
}

template <class Module>
Parameters collect(const Module& module) {
  Parameters parameters;
  module.collect(parameters);
  return parameters;
}

std::vector<std::string> names(const Parameters& parameters) {
  std::vector<std::string> result;
  for (const Parameter& parameter : parameters) result.push_back(parameter.name);
  return result;
}

TEST(Linear, ComputesInTheContextsTypeAndSendsTheGradientToTheMaster) {
  const Linear linear(5, 3, at::TensorOptions(at::kFloat));
  Parameters parameters;
  linear.collect("p", parameters);
  ASSERT_EQ(names(parameters), std::vector<std::string>{"p.weight"});
  fill(parameters, 1);
  Context context;
  context.compute_dtype = at::kBFloat16;
  const at::Tensor x = random_tensor({2, 4, 5}, 2, at::kBFloat16);
  const at::Tensor y = linear.forward(x, context);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  EXPECT_EQ(compare(y, x.to(at::kFloat).matmul(parameters[0].tensor.t()), 0.02, 0.02), "");
  y.sum().backward();
  EXPECT_EQ(parameters[0].tensor.grad().scalar_type(), at::kFloat);
  EXPECT_EQ(compare(parameters[0].tensor.grad()[0], x.to(at::kFloat).sum({0, 1}), 0.05), "");
}

class Doubling final : public Delta {
 public:
  at::Tensor apply(const at::Tensor& input, const at::Tensor& output,
                   const DeltaCall& call) const override {
    EXPECT_TRUE(call.block_input.is_same(input) || call.rows_R.defined());
    return output.mul(2).add(input.sum(-1, true));
  }
};

TEST(Linear, HandsInputAndOutputToTheDeltasOfItsRows) {
  Linear linear(5, 3, at::TensorOptions(at::kDouble));
  Parameters parameters;
  linear.collect("p", parameters);
  fill(parameters, 1);
  const TokenLayout layout = make_layout(2, 4);
  Context context;
  context.compute_dtype = at::kDouble;
  context.tokens = &layout;
  const at::Tensor x = random_tensor({2, 4, 5}, 2), plain = linear.forward(x, context),
                   changed = plain.mul(2).add(x.sum(-1, true));
  const Site site = linear.site("p", 5);
  site.attach(7, std::make_shared<Doubling>());
  EXPECT_EQ(compare(linear.forward(x, context), plain, 0), "") << "no row uses it";
  context.adapters = {{7, {}}};
  EXPECT_EQ(compare(linear.forward(x, context), changed, 1e-12), "");
  context.adapters = {{7, at::ones({1}, at::kLong)}};
  const at::Tensor y = linear.forward(x, context);
  EXPECT_EQ(compare(y[0], plain[0], 0), "");
  EXPECT_EQ(compare(y[1], changed[1], 1e-12), "");
  site.detach(7);
  EXPECT_EQ(compare(linear.forward(x, context), plain, 0), "");
}

class Scaling final : public Delta {
 public:
  explicit Scaling(at::Tensor scale) : scale_(std::move(scale)) {}
  at::Tensor apply(const at::Tensor&, const at::Tensor& activated,
                   const DeltaCall&) const override {
    return activated.mul(scale_);
  }

 private:
  at::Tensor scale_;
};

// (IA)3 before the product with wi_1 is the same as scaling the columns of wo.
TEST(DenseFeedForward, ScalesTheActivatedValueByItsDelta) {
  for (const bool is_gated : {false, true}) {
    DenseFeedForward block({6, 10, is_gated, 0}, "encoder.block.0.layer.1", at::kDouble);
    const Parameters parameters = collect(block);
    EXPECT_EQ(
        names(parameters),
        (is_gated ? std::vector<std::string>{"encoder.block.0.layer.1.DenseReluDense.wi_0.weight",
                                             "encoder.block.0.layer.1.DenseReluDense.wi_1.weight",
                                             "encoder.block.0.layer.1.DenseReluDense.wo.weight"}
                  : std::vector<std::string>{"encoder.block.0.layer.1.DenseReluDense.wi.weight",
                                             "encoder.block.0.layer.1.DenseReluDense.wo.weight"}));
    fill(parameters, 3);
    const TokenLayout layout = make_layout(2, 4);
    Context context;
    context.compute_dtype = at::kDouble;
    context.tokens = &layout;
    const at::Tensor x = random_tensor({2, 4, 6}, 9), scale = random_tensor({10}, 8);
    const at::NoGradGuard no_grad;
    Sites sites;
    block.collect_sites(sites);
    const Site& activated = sites[1];
    EXPECT_EQ(activated.name, "encoder.block.0.layer.1.DenseReluDense.act");
    activated.attach(0, std::make_shared<Scaling>(scale));
    context.adapters = {{0, {}}};
    const at::Tensor with_delta = block.forward(x, context).output;
    activated.detach(0);
    const at::Tensor plain = block.forward(x, context).output;
    parameters.back().tensor.detach().mul_(scale);
    EXPECT_EQ(compare(with_delta, block.forward(x, context).output, 1e-12), "") << is_gated;
    EXPECT_NE(compare(with_delta, plain, 1e-3), "");
  }
}

TEST(Stack, NamesItsParametersAsOnDisk) {
  StackConfig config;
  config.name = "decoder";
  config.is_decoder = true;
  config.num_layers = 2;
  config.attention = {8, 2, 3, 0};
  const Stack stack(
      config,
      [](int64_t layer, const std::string& prefix) {
        EXPECT_EQ(prefix, "decoder.block." + std::to_string(layer) + ".layer.2");
        return std::make_unique<DenseFeedForward>(FeedForwardConfig{8, 12, true, 0}, prefix,
                                                  at::TensorOptions(at::kBFloat16));
      },
      at::kBFloat16);
  const Parameters parameters = collect(stack);
  EXPECT_EQ(parameters.size(), 2u * (8 + 3 + 3) + 2);
  int num_biases = 0;
  for (const Parameter& parameter : parameters) {
    EXPECT_TRUE(parameter.tensor.requires_grad()) << parameter.name;
    num_biases += parameter.tags.is_relative_bias;
    // Norms and biases do not lose digits in a bf16 model.
    const bool is_wide = parameter.tags.is_norm || parameter.tags.is_relative_bias;
    EXPECT_EQ(parameter.tensor.scalar_type(), is_wide ? at::kFloat : at::kBFloat16)
        << parameter.name;
    EXPECT_EQ(parameter.tags.is_norm, parameter.name.find("layer_norm") != std::string::npos);
  }
  EXPECT_EQ(num_biases, 1);
}

TEST(KvCache, TakesRowsAlongWithBothKindsOfEntries) {
  KvCache cache(2, 5);
  EXPECT_EQ(cache.max_length(), 5);
  cache.advance(2);
  cache.advance(1);
  EXPECT_EQ(cache.length(), 3);
  const at::Tensor self = random_tensor({3, 5, 2, 4}, 1), cross = random_tensor({3, 7, 2, 4}, 2);
  cache.layer(1).self_key_BKHd = cache.layer(1).self_value_BKHd = self;
  cache.layer(1).cross_key_BKHd = cache.layer(1).cross_value_BKHd = cross;
  const at::Tensor rows = testing::index_tensor({2, 2, 0, 1});
  cache.select_rows(rows);
  EXPECT_FALSE(cache.layer(0).self_key_BKHd.defined());
  EXPECT_EQ(compare(cache.layer(1).self_key_BKHd, self.index_select(0, rows), 0), "");
  EXPECT_EQ(compare(cache.layer(1).self_value_BKHd, self.index_select(0, rows), 0), "");
  EXPECT_EQ(compare(cache.layer(1).cross_key_BKHd, cross.index_select(0, rows), 0), "");
  EXPECT_EQ(compare(cache.layer(1).cross_value_BKHd, cross.index_select(0, rows), 0), "");
}

}  // namespace
}  // namespace flanmoe::nn
