// Sparse upcycling: weights are equal exactly, and with room for every token so is the function.
#include "convert/upcycle.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <set>

#include <algorithm>
#include <map>

#include "base/json.h"
#include "model/folder.h"
#include "moe/feed_forward.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"
#include "support/tensors.h"
#include "support/tiny_model.h"

namespace flanmoe::convert {
namespace {

using testing::compare;

std::map<std::string, at::Tensor> by_name(const model::Model& model) {
  std::map<std::string, at::Tensor> tensors;
  for (const nn::Parameter& parameter : model.parameters())
    tensors[parameter.name] = parameter.tensor.detach();
  return tensors;
}

struct Case {
  std::string router;
  int64_t every;
  bool is_v1_0;
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.router << ", every " << c.every << (c.is_v1_0 ? ", v1.0" : ", v1.1");
}

class EveryUpcycling : public ::testing::TestWithParam<Case> {
 protected:
  EveryUpcycling() : dense_(dense_config(GetParam().is_v1_0), 9) {
    config_.placement.every = GetParam().every;
    config_.moe.router = GetParam().router;
    config_.moe.set_defaults();
    config_.moe.num_experts = 5;
    if (config_.moe.router == "expert-choice")
      config_.moe.eval_capacity_factor = 5;  // every expert takes every token
    else
      config_.moe.is_dropless = true;
    config_.moe.second_expert_policy = moe::SecondExpertPolicy::All;
    config_.decoder_moe = config_.moe;
    config_.router_init_std = 0.5;  // so that routers have opinions
  }
  static model::ModelConfig dense_config(bool is_v1_0) {
    model::ModelConfig config = testing::tiny_config();
    config.num_layers = 4;
    config.num_decoder_layers = 3;
    if (is_v1_0) {
      config.feed_forward = model::FeedForwardKind::Relu;
      config.has_tied_embeddings = config.scales_decoder_outputs = true;
    }
    return config;
  }
  at::Tensor logits(const model::Model& model) const {
    const at::NoGradGuard no_grad;
    std::vector<int64_t> inputs, targets;
    for (uint64_t row = 0; row < 4; ++row) {
      for (int32_t id : testing::random_row(dense_.config(), 9, row)) inputs.push_back(id);
      for (int32_t id : testing::random_row(dense_.config(), 6, row + 50)) targets.push_back(id);
    }
    at::Tensor segments = at::zeros({4, 9}, at::TensorOptions(at::kLong)).fill_(1);
    segments[2].narrow(0, 5, 4).fill_(0);
    nn::Context context;
    return model.forward(
        model::make_input(testing::index_tensor(inputs, {4, 9}), segments,
                          testing::index_tensor(targets, {4, 6}), {}, model.config()),
        context);
  }

  model::Model dense_;
  UpcycleConfig config_;
};

TEST_P(EveryUpcycling, ComputesTheSameFunctionWhereNothingIsDropped) {
  config_.moe.combine_weights = moe::CombineWeights::Normalised;
  config_.decoder_moe = config_.moe;
  const model::Model sparse = upcycle(dense_, config_);
  EXPECT_EQ(compare(logits(sparse), logits(dense_), 1e-5, 1e-5), "");
  // The check sees the difference that a changed expert makes.
  for (const nn::Parameter& parameter : sparse.parameters())
    if (parameter.tags.is_expert()) parameter.tensor.detach().select(0, 0).mul_(1.1);
  EXPECT_NE(compare(logits(sparse), logits(dense_), 1e-5, 1e-5), "");
}

TEST_P(EveryUpcycling, CopiesEveryWeightBitByBit) {
  const model::Model sparse = upcycle(dense_, config_);
  const auto source = by_name(dense_);
  size_t num_taken = 0, num_routers = 0;
  for (const nn::Parameter& parameter : sparse.parameters()) {
    SCOPED_TRACE(parameter.name);
    EXPECT_TRUE(parameter.tensor.requires_grad());
    if (parameter.tags.is_router) {
      ++num_routers;
      EXPECT_NEAR(parameter.tensor.to(at::kDouble).std().item<double>(), 0.5, 0.2);
      continue;
    }
    ++num_taken;
    if (!parameter.tags.is_expert()) {
      ASSERT_TRUE(source.count(parameter.name));
      EXPECT_EQ(testing::compare_bits(parameter.tensor, source.at(parameter.name)), "");
      EXPECT_NE(parameter.tensor.data_ptr(), source.at(parameter.name).data_ptr());
      continue;
    }
    std::string name = parameter.name;
    const std::string infix = ".mlp.experts.";
    name.replace(name.find(infix), infix.size(), ".DenseReluDense.");
    ASSERT_TRUE(source.count(name));
    ASSERT_EQ(parameter.tensor.size(0), 5);
    for (int64_t e = 0; e < 5; ++e)
      EXPECT_EQ(testing::compare_bits(parameter.tensor[e], source.at(name)), "") << e;
  }
  EXPECT_EQ(num_taken, source.size());
  const size_t num_sparse = static_cast<size_t>(4 / GetParam().every + 3 / GetParam().every);
  EXPECT_EQ(num_routers, moe::make_router(config_.moe)->is_learned() ? num_sparse : 0);
}

// With raw weights the sparse block gives the dense one's output times the sum of the gates.
TEST_P(EveryUpcycling, ScalesTheBlockByTheGateMassWhereWeightsAreRaw) {
  const at::NoGradGuard no_grad;
  config_.moe.combine_weights = moe::CombineWeights::Raw;
  config_.decoder_moe = config_.moe;
  const model::Model sparse = upcycle(dense_, config_);
  const int64_t layer = config_.placement.every - 1;
  const std::string prefix = "encoder.block." + std::to_string(layer) + ".layer.1";
  const nn::FeedForwardConfig shape{16, 24, !GetParam().is_v1_0, 0};
  const nn::DenseFeedForward before(shape, prefix, at::kFloat);
  const moe::FeedForward after(shape, sparse.config().moe, prefix, false, at::kFloat);
  const auto fill = [](const nn::FeedForward& block, const model::Model& from) {
    nn::Parameters parameters;
    block.collect(parameters);
    const auto source = by_name(from);
    for (const nn::Parameter& parameter : parameters)
      parameter.tensor.detach().copy_(source.at(parameter.name));
  };
  fill(before, dense_);
  fill(after, sparse);

  struct GateMass final : nn::RoutingSink {
    void record(const std::string&, const ops::Routing& routing) override {
      mass = at::zeros({routing.num_tokens}, at::TensorOptions(at::kFloat))
                 .index_add(0, routing.token_index_A, routing.combine_weight_A);
    }
    at::Tensor mass;
  } sink;
  const nn::TokenLayout layout = nn::make_layout(3, 8);
  nn::Context context;
  context.tokens = &layout;
  context.routing_sink = &sink;
  const at::Tensor x = testing::random_tensor({3, 8, 16}, 3, at::kFloat);
  const at::Tensor want = before.forward(x, context).output;
  const at::Tensor got = after.forward(x, context).output;
  EXPECT_EQ(compare(got, want.mul(sink.mass.view({3, 8, 1})), 1e-5, 1e-5), "");
  const std::set<std::string> kSumToOne = {"dense", "expert-choice", "hash", "random"};
  const bool loses_mass = kSumToOne.count(config_.moe.router) == 0;
  EXPECT_EQ(sink.mass.max().item<double>() < 0.99999, loses_mass);
  EXPECT_EQ(compare(got, want, 1e-3).empty(), !loses_mass);
}

TEST_P(EveryUpcycling, IsAFunctionOfTheSeed) {
  const auto a = by_name(upcycle(dense_, config_)), b = by_name(upcycle(dense_, config_));
  config_.seed = 1;
  const auto c = by_name(upcycle(dense_, config_));
  for (const auto& [name, tensor] : a) {
    EXPECT_EQ(testing::compare_bits(tensor, b.at(name)), "") << name;
    EXPECT_EQ(testing::compare_bits(tensor, c.at(name)).empty(),
              name.find("router") == std::string::npos)
        << name;
  }
}

TEST_P(EveryUpcycling, ComesBackFromAFolder) {
  const TemporaryFolder folder;
  const model::Model sparse = upcycle(dense_, config_);
  model::save_model(folder / "sparse", sparse, nullptr);
  const model::LoadedModel loaded = model::load_model(folder / "sparse");
  const auto a = by_name(sparse), b = by_name(*loaded.model);
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a)
    EXPECT_EQ(testing::compare_bits(tensor, b.at(name)), "") << name;
  EXPECT_EQ(testing::compare_bits(logits(*loaded.model), logits(sparse)), "");
}

std::vector<Case> every_case() {
  std::vector<Case> cases;
  for (const std::string& router : moe::router_registry().names())
    for (const int64_t every : {1, 2, 3})
      for (const bool is_v1_0 : {false, true}) cases.push_back({router, every, is_v1_0});
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryUpcycling, ::testing::ValuesIn(every_case()),
                         [](const auto& instance) {
                           std::string name = instance.param.router + "_every_" +
                                              std::to_string(instance.param.every) +
                                              (instance.param.is_v1_0 ? "_v1_0" : "_v1_1");
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(UpcycledConfig, PicksLayersOfEachStack) {
  model::ModelConfig dense = testing::tiny_config();
  dense.num_layers = 8;
  dense.num_decoder_layers = 7;
  UpcycleConfig config;
  config.placement.decoder.kind = model::PlacementKind::LastHalf;
  const model::ModelConfig sparse = upcycled_config(dense, config);
  EXPECT_EQ(sparse.encoder_sparse_layers, (std::vector<int64_t>{1, 3, 5, 7}));
  EXPECT_EQ(sparse.decoder_sparse_layers, (std::vector<int64_t>{4, 5, 6}));
}

TEST(UpcycledConfig, KeepsTheDenseModelsShape) {
  const model::ModelConfig dense = testing::tiny_config();
  UpcycleConfig config;
  config.moe.num_experts = 3;
  config.decoder_moe = config.moe;
  model::ModelConfig sparse = upcycled_config(dense, config);
  EXPECT_EQ(sparse.moe.num_experts, 3);
  sparse.encoder_sparse_layers = sparse.decoder_sparse_layers = {};
  EXPECT_EQ(to_json(to_config_node(sparse)), to_json(to_config_node(dense)));
}

TEST(Upcycle, RefusesWhatIsSparseAlready) {
  const model::Model sparse(testing::tiny_sparse_config(), 1);
  expect_error(ErrorCode::InvalidArgument, "sparse already (4 experts",
               [&] { upcycle(sparse, UpcycleConfig()); });
}

TEST(Upcycle, RefusesWhatWouldChangeNothing) {
  const model::Model dense(testing::tiny_config(), 1);
  UpcycleConfig config;
  config.placement.every = 3;
  expect_error(ErrorCode::InvalidArgument, "no layer would become sparse",
               [&] { upcycle(dense, config); });
  config.placement.every = 0;
  expect_error(ErrorCode::InvalidConfig, "[upcycle.every] expected at least 1, found 0",
               [&] { upcycle(dense, config); });
  config.placement.every = 2;
  config.placement.encoder.kind = config.placement.decoder.kind = model::PlacementKind::None;
  expect_error(ErrorCode::InvalidArgument, "no layer would become sparse",
               [&] { upcycle(dense, config); });
  config = UpcycleConfig();
  config.moe.num_experts = 1;
  config.decoder_moe = config.moe;
  expect_error(ErrorCode::InvalidConfig, "at least 2 experts", [&] { upcycle(dense, config); });
}

TEST(Upcycle, KeepsTheTypeOfTheWeights) {
  const model::Model dense(testing::tiny_config(), 1, at::kBFloat16);
  const model::Model sparse = upcycle(dense, UpcycleConfig());
  for (const nn::Parameter& parameter : sparse.parameters())
    EXPECT_EQ(parameter.tensor.scalar_type(),
              parameter.tags.is_router || parameter.tags.is_norm || parameter.tags.is_relative_bias
                  ? at::kFloat
                  : at::kBFloat16)
        << parameter.name;
}

}  // namespace
}  // namespace flanmoe::convert
