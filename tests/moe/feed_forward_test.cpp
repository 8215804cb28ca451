// The sparse block: router, dispatch, experts and combine against a loop over single tokens, and
// what its noise may not depend on.
#include "moe/feed_forward.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <map>

#include "moe/loop_reference.h"
#include "support/tensors.h"

namespace flanmoe::moe {
namespace {

using testing::compare;
using testing::doubles;
using testing::index_tensor;
using testing::random_tensor;

constexpr int64_t kModel = 6, kHidden = 9, kExperts = 4;
const char* const kPrefix = "encoder.block.1.layer.1";

nn::Parameters collect(const nn::FeedForward& block) {
  nn::Parameters parameters;
  block.collect(parameters);
  return parameters;
}

// In float64, with random weights; the router's are large, so that choices differ from token to
// token.
std::unique_ptr<FeedForward> make_block(const Config& config, bool is_gated = true,
                                        double dropout_rate = 0, uint64_t seed = 1,
                                        at::ScalarType dtype = at::kDouble) {
  auto block =
      std::make_unique<FeedForward>(nn::FeedForwardConfig{kModel, kHidden, is_gated, dropout_rate},
                                    config, kPrefix, false, at::TensorOptions(dtype));
  const at::NoGradGuard no_grad;
  for (const nn::Parameter& parameter : collect(*block))
    parameter.tensor.detach().copy_(random_tensor(parameter.tensor.sizes(), seed++, at::kDouble,
                                                  parameter.tags.is_router ? 1 : 0.4));
  return block;
}

Config make_config(const std::string& router = "top-2",
                   CombineWeights weights = CombineWeights::Normalised) {
  Config config;
  config.router = router;
  config.combine_weights = weights;
  config.num_experts = kExperts;
  config.is_dropless = true;
  return config;
}

nn::FeedForwardOutput run(const FeedForward& block, const at::Tensor& x_BLD,
                          const nn::TokenLayout& layout, bool is_training = false, int64_t step = 0,
                          nn::RoutingSink* sink = nullptr) {
  nn::Context context;
  context.compute_dtype = x_BLD.scalar_type();
  context.tokens = &layout;
  context.is_training = is_training;
  context.step = step;
  context.routing_sink = sink;
  return block.forward(x_BLD, context);
}

Matrix matrix(const at::Tensor& tensor) {
  Matrix rows;
  for (int64_t i = 0; i < tensor.size(0); ++i) rows.push_back(doubles(tensor[i]));
  return rows;
}

// Token by token, expert by expert. `real` are the flattened indices of real tokens, `group` their
// groups.
at::Tensor forward_by_loop(const FeedForward& block, const at::Tensor& x_BLD, size_t k,
                           bool is_normalised, const std::vector<int64_t>& real,
                           const std::vector<int64_t>& group, size_t num_groups, int64_t capacity,
                           LoopRouting* routing_out = nullptr) {
  std::map<std::string, at::Tensor> weights;
  for (const nn::Parameter& parameter : collect(block))
    weights[parameter.name.substr(std::string(kPrefix).size() + 5)] = parameter.tensor;
  const bool is_gated = weights.count("experts.wi_0.weight") > 0;
  const at::Tensor flat = x_BLD.reshape({-1, kModel});
  Matrix logits;
  for (int64_t t : real)
    logits.push_back(multiply(matrix(weights.at("router.classifier.weight")), doubles(flat[t])));
  const LoopRouting routing = route_by_loop(
      logits, group, num_groups, {.k = k, .is_normalised = is_normalised, .capacity = capacity});
  at::Tensor output = at::zeros(flat.sizes(), at::TensorOptions(at::kDouble));
  for (size_t i = 0; i < real.size(); ++i)
    for (size_t j = 0; j < k; ++j) {
      if (routing.slots[i][j] < 0) continue;
      const int64_t e = routing.choices[i][j];
      const auto y = feed_forward_by_loop(
          matrix(weights.at(is_gated ? "experts.wi_0.weight" : "experts.wi.weight")[e]),
          is_gated ? matrix(weights.at("experts.wi_1.weight")[e]) : Matrix(),
          matrix(weights.at("experts.wo.weight")[e]), doubles(flat[real[i]]));
      for (int64_t d = 0; d < kModel; ++d)
        output[real[i]][d] += routing.weights[i][j] * y[static_cast<size_t>(d)];
    }
  if (routing_out) *routing_out = routing;
  return output.view(x_BLD.sizes());
}

class Recorder final : public nn::RoutingSink {
 public:
  void record(const std::string& layer, const ops::Routing& routing) override {
    routings.emplace_back(layer, routing);
  }
  std::vector<std::pair<std::string, ops::Routing>> routings;
};

// Three rows; one ends in padding, one holds two segments.
const std::vector<int64_t> kSegments = {1, 1, 1, 1,      1, 1, 1, /**/ 1, 1, 1, 0,
                                        0, 0, 0, /**/ 1, 1, 1, 2, 2,      2, 0};
const std::vector<int64_t> kReal = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14, 15, 16, 17, 18, 19};
const std::vector<int64_t> kGroups = {0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3};

TEST(FeedForward, EqualsALoopOverTokens) {
  const nn::TokenLayout layout = nn::make_layout(3, 7, index_tensor(kSegments, {3, 7}));
  for (const bool is_gated : {false, true})
    for (const auto& [router, k] : {std::pair<const char*, size_t>{"switch", 1}, {"top-2", 2}})
      for (const CombineWeights weights : {CombineWeights::Raw, CombineWeights::Normalised})
        for (const RoutingGroup group : {RoutingGroup::Sequence, RoutingGroup::Batch})
          for (const int64_t capacity : {0, 1, 2, 5}) {
            Config config = make_config(router, weights);
            config.group = group;
            config.is_dropless = capacity == 0;
            config.capacity_rule = CapacityRule::Absolute;
            config.expert_capacity = capacity;
            const auto block = make_block(config, is_gated);
            const at::Tensor x = random_tensor({3, 7, kModel}, 40);
            const bool is_batch = group == RoutingGroup::Batch;
            LoopRouting loop;
            const at::Tensor want =
                forward_by_loop(*block, x, k, weights == CombineWeights::Normalised, kReal,
                                is_batch ? std::vector<int64_t>(16, 0) : kGroups, is_batch ? 1 : 4,
                                capacity, &loop);
            const nn::FeedForwardOutput got = run(*block, x, layout, true);
            EXPECT_EQ(compare(got.output, want, 1e-11), "")
                << router << ", capacity " << capacity << ", gated " << is_gated << ", batch "
                << is_batch;
            ASSERT_EQ(got.auxiliary.losses.size(), 2u);
            EXPECT_NEAR(got.auxiliary.losses[0].value.item<double>(), loop.load_balance_loss,
                        1e-12);
            EXPECT_NEAR(got.auxiliary.losses[1].value.item<double>(), loop.z_loss, 1e-12);
          }
}

TEST(FeedForward, GivesNothingToDroppedTokensAndToPadding) {
  Config config = make_config("switch");
  config.is_dropless = false;
  config.capacity_rule = CapacityRule::Absolute;
  config.expert_capacity = 1;
  const auto block = make_block(config);
  const nn::TokenLayout layout = nn::make_layout(3, 7, index_tensor(kSegments, {3, 7}));
  Recorder recorder;
  const at::Tensor y = run(*block, random_tensor({3, 7, kModel}, 40), layout, false, 0, &recorder)
                           .output.reshape({21, kModel});
  ASSERT_EQ(recorder.routings.size(), 1u);
  EXPECT_EQ(recorder.routings[0].first, kPrefix);
  const ops::Routing& routing = recorder.routings[0].second;
  EXPECT_EQ(routing.num_tokens, 16);  // padding is not routed
  std::vector<bool> is_served(21, false);
  for (int64_t t : testing::integers(routing.token_index_A))
    is_served[static_cast<size_t>(kReal[static_cast<size_t>(t)])] = true;
  EXPECT_LE(routing.token_index_A.numel(), kExperts);
  for (int64_t t = 0; t < 21; ++t)
    EXPECT_EQ(y[t].abs().max().item<double>() > 0, is_served[static_cast<size_t>(t)])
        << "token " << t;
}

TEST(FeedForward, TakesALargeCapacityForNoLimit) {
  for (const char* router : {"switch", "top-2"}) {
    const at::Tensor x = random_tensor({3, 7, kModel}, 41);
    const nn::TokenLayout layout = nn::make_layout(3, 7);
    Config config = make_config(router);
    const at::Tensor dropless = run(*make_block(config), x, layout).output;
    config.is_dropless = false;
    config.capacity_rule = CapacityRule::PerChoice;
    config.eval_capacity_factor = kExperts;
    EXPECT_EQ(testing::compare_bits(run(*make_block(config), x, layout).output, dropless), "")
        << router;
    config.capacity_rule = CapacityRule::Absolute;
    config.expert_capacity = 21;
    EXPECT_EQ(testing::compare_bits(run(*make_block(config), x, layout).output, dropless), "")
        << router;
  }
}

TEST(FeedForward, IsNotChangedByPadding) {
  for (const RoutingGroup group : {RoutingGroup::Sequence, RoutingGroup::Batch})
    for (const bool is_training : {false, true}) {
      Config config = make_config();
      config.group = group;
      config.is_dropless = false;
      config.train_capacity_factor = config.eval_capacity_factor = 0.7;
      config.jitter = 0.1;
      config.expert_dropout_rate = 0.2;
      const auto block = make_block(config);
      const at::Tensor x = random_tensor({2, 7, kModel}, 42);
      at::Tensor padded = at::zeros({2, 12, kModel}, x.options()).fill_(7);
      padded.narrow(1, 0, 7).copy_(x);
      at::Tensor segments = at::zeros({2, 12}, at::TensorOptions(at::kLong));
      segments.narrow(1, 0, 7).fill_(1);
      const nn::FeedForwardOutput plain = run(*block, x, nn::make_layout(2, 7, {}, {}, {5, 6}),
                                              is_training),
                                  wide = run(*block, padded,
                                             nn::make_layout(2, 12, segments, {}, {5, 6}),
                                             is_training);
      EXPECT_EQ(testing::compare_bits(wide.output.narrow(1, 0, 7), plain.output), "");
      EXPECT_EQ(wide.output.narrow(1, 7, 5).abs().max().item<double>(), 0);
      ASSERT_EQ(plain.auxiliary.losses.size(), is_training ? 2u : 0u);
      for (size_t i = 0; i < plain.auxiliary.losses.size(); ++i)
        EXPECT_EQ(plain.auxiliary.losses[i].value.item<double>(),
                  wide.auxiliary.losses[i].value.item<double>());
    }
}

TEST(FeedForward, DrawsNoiseByExampleAndPositionOnly) {
  Config config = make_config();
  config.jitter = 0.3;
  config.expert_dropout_rate = 0.3;
  const auto block = make_block(config);
  const at::Tensor x = random_tensor({3, 7, kModel}, 43);
  const at::Tensor together =
      run(*block, x, nn::make_layout(3, 7, {}, {}, {50, 60, 70}), true).output;
  const at::Tensor alone =
      run(*block, x.narrow(0, 1, 1), nn::make_layout(1, 7, {}, {}, {60}), true).output;
  EXPECT_EQ(compare(alone[0], together[1], 1e-12), "");
  const at::Tensor turned =
      run(*block, x.flip(0), nn::make_layout(3, 7, {}, {}, {70, 60, 50}), true).output;
  EXPECT_EQ(compare(turned.flip(0), together, 1e-12), "");

  EXPECT_NE(compare(run(*block, x, nn::make_layout(3, 7, {}, {}, {50, 61, 70}), true).output[1],
                    together[1], 1e-3),
            "");
  EXPECT_NE(compare(run(*block, x, nn::make_layout(3, 7, {}, {}, {50, 60, 70}), true, 1).output,
                    together, 1e-3),
            "");
}

TEST(FeedForward, DrawsNoiseInTrainingOnly) {
  for (const bool is_jitter : {false, true}) {
    Config config = make_config();
    (is_jitter ? config.jitter : config.expert_dropout_rate) = 0.3;
    const at::Tensor x = random_tensor({2, 7, kModel}, 44);
    const nn::TokenLayout layout = nn::make_layout(2, 7);
    const at::Tensor plain = run(*make_block(make_config()), x, layout, true).output;
    EXPECT_EQ(testing::compare_bits(run(*make_block(config), x, layout, false).output, plain), "");
    EXPECT_NE(compare(run(*make_block(config), x, layout, true).output, plain, 1e-3), "");
  }
}

// Only the router sees the jitter: with one expert it changes nothing.
TEST(FeedForward, JittersTheRoutersInputAndNotTheExperts) {
  Config config = make_config("switch");
  config.num_experts = 1;
  const at::Tensor x = random_tensor({2, 7, kModel}, 45);
  const nn::TokenLayout layout = nn::make_layout(2, 7);
  const at::Tensor plain = run(*make_block(config), x, layout, true).output;
  config.jitter = 0.5;
  EXPECT_EQ(testing::compare_bits(run(*make_block(config), x, layout, true).output, plain), "");
}

TEST(FeedForward, UsesTheCapacityOfItsMode) {
  Config config = make_config();
  config.is_dropless = false;
  config.train_capacity_factor = 0.5;
  config.eval_capacity_factor = 1.5;
  Recorder recorder;
  const auto block = make_block(config);
  for (const bool is_training : {true, false})
    run(*block, random_tensor({2, 7, kModel}, 46), nn::make_layout(2, 7), is_training, 0,
        &recorder);
  EXPECT_EQ(recorder.routings[0].second.capacity, 4);   // 0.5 * 2 * 14 / 4 = 3.5
  EXPECT_EQ(recorder.routings[1].second.capacity, 11);  // 10.5
}

TEST(FeedForward, NamesItsLossesAndTheirCoefficients) {
  Config config = make_config();
  config.load_balance_coefficient = 0.25;
  config.z_loss_coefficient = 0.125;
  const auto block = make_block(config);
  const nn::TokenLayout layout = nn::make_layout(2, 7);
  const at::Tensor x = random_tensor({2, 7, kModel}, 47);
  EXPECT_TRUE(run(*block, x, layout, false).auxiliary.losses.empty());
  const auto losses = run(*block, x, layout, true).auxiliary.losses;
  ASSERT_EQ(losses.size(), 2u);
  EXPECT_EQ(losses[0].name, "load_balance_loss");
  EXPECT_EQ(losses[0].coefficient, 0.25);
  EXPECT_EQ(losses[1].name, "z_loss");
  EXPECT_EQ(losses[1].coefficient, 0.125);
  for (const auto& loss : losses) EXPECT_EQ(loss.layer, kPrefix);
}

TEST(FeedForward, HasTheGradientsOfFiniteDifferences) {
  const nn::TokenLayout layout =
      nn::make_layout(2, 5, index_tensor({1, 1, 1, 1, 1, 1, 1, 1, 0, 0}, {2, 5}));
  for (const bool is_gated : {false, true})
    for (const bool drops : {false, true}) {
      Config config = make_config("top-2", CombineWeights::Raw);
      config.jitter = 0.1;
      config.expert_dropout_rate = 0.2;
      if (drops) {
        config.is_dropless = false;
        config.capacity_rule = CapacityRule::Absolute;
        config.expert_capacity = 2;
      }
      const auto block = make_block(config, is_gated);
      std::vector<at::Tensor> leaves = {random_tensor({2, 5, kModel}, 48).requires_grad_(true)};
      for (const nn::Parameter& parameter : collect(*block)) leaves.push_back(parameter.tensor);
      EXPECT_EQ(testing::check_gradients(
                    [&] {
                      const nn::FeedForwardOutput output = run(*block, leaves[0], layout, true);
                      return testing::probe(output.output)
                          .add(output.auxiliary.losses[0].value, 3)
                          .add(output.auxiliary.losses[1].value, 2);
                    },
                    leaves),
                "")
          << "gated " << is_gated << ", drops " << drops;
    }
}

TEST(FeedForward, SendsNoGradientToExpertsWithoutTokensAndToUnservedTokens) {
  Config config = make_config("switch", CombineWeights::Raw);
  config.is_dropless = false;
  config.capacity_rule = CapacityRule::Absolute;
  config.expert_capacity = 1;
  const auto block = make_block(config);
  const at::Tensor x = random_tensor({1, 2, kModel}, 49).requires_grad_(true);
  Recorder recorder;
  run(*block, x, nn::make_layout(1, 2), false, 0, &recorder).output.sum().backward();
  const auto& offsets = recorder.routings[0].second.expert_offsets;
  for (const nn::Parameter& parameter : collect(*block)) {
    if (!parameter.tags.is_expert()) continue;
    for (int64_t e = 0; e < kExperts; ++e)
      EXPECT_EQ(parameter.tensor.grad()[e].abs().max().item<double>() > 0,
                offsets[static_cast<size_t>(e)] < offsets[static_cast<size_t>(e) + 1]);
  }
}

TEST(FeedForward, KeepsItsRouterInFp32) {
  const auto block = make_block(make_config(), true, 0, 1, at::kBFloat16);
  for (const nn::Parameter& parameter : collect(*block)) {
    EXPECT_EQ(parameter.tensor.scalar_type(), parameter.tags.is_router ? at::kFloat : at::kBFloat16)
        << parameter.name;
    EXPECT_NE(parameter.tags.is_router, parameter.tags.is_expert());
  }
  Recorder recorder;
  const at::Tensor x = random_tensor({2, 7, kModel}, 50, at::kBFloat16);
  const at::Tensor narrow = run(*block, x, nn::make_layout(2, 7), false, 0, &recorder).output;
  EXPECT_EQ(narrow.scalar_type(), at::kBFloat16);
  EXPECT_EQ(recorder.routings[0].second.combine_weight_A.scalar_type(), at::kFloat);
  const at::Tensor wide = run(*make_block(make_config(), true, 0, 1, at::kFloat), x.to(at::kFloat),
                              nn::make_layout(2, 7))
                              .output;
  EXPECT_EQ(compare(narrow.to(at::kFloat), wide, 4e-2, 4e-2), "");
}

TEST(FeedForward, CountsSentencesAsGroupsAlsoInAPackedRow) {
  Config config = make_config("switch");
  config.group = RoutingGroup::Sequence;
  config.is_dropless = false;
  config.capacity_rule = CapacityRule::Absolute;
  config.expert_capacity = 1;
  const auto block = make_block(config);
  const at::Tensor x = random_tensor({1, 6, kModel}, 51);
  const at::Tensor packed =
      run(*block, x, nn::make_layout(1, 6, index_tensor({1, 1, 1, 2, 2, 2}, {1, 6}))).output;
  const at::Tensor rows = run(*block, x.view({2, 3, kModel}), nn::make_layout(2, 3)).output;
  EXPECT_EQ(compare(packed.view({2, 3, kModel}), rows, 1e-13), "");
}

}  // namespace
}  // namespace flanmoe::moe
