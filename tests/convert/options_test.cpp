// What each option of upcycling promises of the model that training starts from.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/log.h"
#include "convert/upcycle.h"
#include "model/accounting.h"
#include "support/expect_error.h"
#include "support/tensors.h"
#include "support/tiny_model.h"

namespace flanmoe::convert {
namespace {

constexpr int64_t kNumExperts = 6, kWidth = 64, kHidden = 96;

class UpcycleOptions : public ::testing::Test {
 protected:
  UpcycleOptions() : dense_(dense_config(), 5) {
    config_.moe.num_experts = config_.decoder_moe.num_experts = kNumExperts;
  }
  static model::ModelConfig dense_config() {
    model::ModelConfig config = testing::tiny_config();
    config.d_model = kWidth;
    config.d_ff = kHidden;
    return config;
  }
  static std::map<std::string, at::Tensor> by_name(const model::Model& model) {
    std::map<std::string, at::Tensor> tensors;
    for (const nn::Parameter& parameter : model.parameters())
      tensors[parameter.name] = parameter.tensor.detach();
    return tensors;
  }
  // Calls `check(name, expert, its matrix, the dense matrix)` and, on all else but routers,
  // compares bits.
  template <class Check>
  void for_every_expert(const model::Model& sparse, const Check& check) const {
    const auto dense = by_name(dense_);
    for (const nn::Parameter& parameter : sparse.parameters()) {
      SCOPED_TRACE(parameter.name);
      if (parameter.tags.is_router) continue;
      if (!parameter.tags.is_expert()) {
        EXPECT_EQ(testing::compare_bits(parameter.tensor, dense.at(parameter.name)), "");
        continue;
      }
      std::string name = parameter.name;
      const std::string infix = ".mlp.experts.";
      name.replace(name.find(infix), infix.size(), ".DenseReluDense.");
      for (int64_t e = 0; e < kNumExperts; ++e)
        check(parameter.name, e, parameter.tensor.detach()[e], dense.at(name));
    }
  }
  static double norm(const at::Tensor& tensor) {
    return tensor.to(at::kDouble).norm().item<double>();
  }

  model::Model dense_;
  UpcycleConfig config_;
};

TEST_F(UpcycleOptions, NoiseHasTheStatedRelativeSize) {
  for (const double noise : {0.01, 0.5}) {
    config_.expert_noise = noise;
    const model::Model sparse = upcycle(dense_, config_);
    int num_checked = 0;
    for_every_expert(sparse, [&](const std::string&, int64_t, const at::Tensor& expert,
                                 const at::Tensor& dense) {
      // 6144 elements: the relative error of the norm is about 1 %
      EXPECT_NEAR(norm(expert.sub(dense)) / norm(dense), noise, 0.05 * noise);
      EXPECT_NEAR(expert.sub(dense).mean().item<double>(), 0,
                  5 * noise * norm(dense) / static_cast<double>(dense.numel()));
      ++num_checked;
    });
    EXPECT_EQ(num_checked, 2 * 3 * kNumExperts);
  }
}

TEST_F(UpcycleOptions, NoiseIsOfItsOwnForEveryExpertAndSeed) {
  config_.expert_noise = 0.1;
  const auto a = by_name(upcycle(dense_, config_)), b = by_name(upcycle(dense_, config_));
  config_.seed = 1;
  const auto c = by_name(upcycle(dense_, config_));
  for (const auto& [name, tensor] : a) {
    EXPECT_EQ(testing::compare_bits(tensor, b.at(name)), "") << name;
    if (name.find(".experts.") == name.npos) continue;
    for (int64_t e = 0; e < kNumExperts; ++e) {
      EXPECT_NE(testing::compare_bits(tensor[e], c.at(name)[e]), "") << name;
      if (e > 0) EXPECT_NE(testing::compare_bits(tensor[e], tensor[0]), "") << name;
    }
  }
}

// The hidden units in which an expert's matrix differs from the dense one.
std::set<int64_t> changed_units(const at::Tensor& expert, const at::Tensor& dense, int64_t axis) {
  std::set<int64_t> changed;
  for (int64_t i = 0; i < expert.size(axis); ++i)
    if (!testing::compare_bits(expert.select(axis, i), dense.select(axis, i)).empty())
      changed.insert(i);
  return changed;
}

TEST_F(UpcycleOptions, DropUpcyclingDrawsTheStatedShareOfUnitsAnew) {
  for (const double fraction : {0.25, 0.5, 1.0}) {
    config_.reinitialised_fraction = fraction;
    const model::Model sparse = upcycle(dense_, config_);
    std::map<std::pair<std::string, int64_t>, std::set<int64_t>> units;  // by block and expert
    for_every_expert(sparse, [&](const std::string& name, int64_t e, const at::Tensor& expert,
                                 const at::Tensor& dense) {
      const int64_t axis = name.ends_with(".wo.weight") ? 1 : 0;
      const std::set<int64_t> changed = changed_units(expert, dense, axis);
      EXPECT_EQ(changed.size(), static_cast<size_t>(fraction * kHidden));
      const auto [it, is_new] =
          units.emplace(std::pair(name.substr(0, name.find(".experts.")), e), changed);
      EXPECT_EQ(it->second, changed);  // the same in wi_0, wi_1 and wo
      // every element of a unit is drawn, with the scale that was there
      for (const int64_t unit : changed)
        EXPECT_EQ(expert.select(axis, unit).eq(dense.select(axis, unit)).sum().item<int64_t>(), 0);
      const auto scale = [&](const at::Tensor& matrix) {
        double sum = 0;
        for (const int64_t unit : changed)
          sum += matrix.select(axis, unit).to(at::kDouble).square().mean().item<double>();
        return std::sqrt(sum / static_cast<double>(changed.size()));
      };
      EXPECT_NEAR(scale(expert) / scale(dense), 1, 0.1);
    });
    EXPECT_EQ(units.size(), static_cast<size_t>(2 * kNumExperts));
    if (fraction == 1) continue;
    std::set<std::set<int64_t>> different;
    for (const auto& [key, changed] : units) different.insert(changed);
    EXPECT_EQ(different.size(), units.size());
  }
}

// The draw has the mean of the weights it replaces, not only their scale.
TEST_F(UpcycleOptions, DropUpcyclingKeepsTheMean) {
  for (const nn::Parameter& parameter : dense_.parameters())
    if (parameter.name.find("DenseReluDense") != parameter.name.npos)
      parameter.tensor.detach().add_(3);
  config_.reinitialised_fraction = 0.5;
  for_every_expert(upcycle(dense_, config_),
                   [](const std::string&, int64_t, const at::Tensor& expert, const at::Tensor&) {
                     EXPECT_NEAR(expert.mean().item<double>(), 3, 0.02);
                     EXPECT_LT(expert.std().item<double>(), 0.5);
                   });
}

TEST_F(UpcycleOptions, RouterHasTheStatedScale) {
  for (const double std : {0.0, 0.02, 2.0}) {
    config_.router_init_std = std;
    int num_checked = 0;
    const model::Model sparse = upcycle(dense_, config_);
    for (const nn::Parameter& parameter : sparse.parameters()) {
      if (!parameter.tags.is_router) continue;
      ++num_checked;
      // 384 elements
      EXPECT_NEAR(parameter.tensor.to(at::kDouble).square().mean().sqrt().item<double>(), std,
                  0.15 * std);
    }
    EXPECT_EQ(num_checked, 2);
  }
}

// Output logits of a few rows.
at::Tensor logits(const model::Model& model) {
  const at::NoGradGuard no_grad;
  std::vector<int64_t> inputs, targets;
  for (uint64_t row = 0; row < 4; ++row) {
    for (int32_t id : testing::random_row(model.config(), 9, row)) inputs.push_back(id);
    for (int32_t id : testing::random_row(model.config(), 6, row + 50)) targets.push_back(id);
  }
  nn::Context context;
  return model.forward(
      model::make_input(testing::index_tensor(inputs, {4, 9}), {},
                        testing::index_tensor(targets, {4, 6}), {}, model.config()),
      context);
}

moe::Config dropless_top_k(int64_t num_experts, int64_t k) {
  moe::Config moe;
  moe.router = "top-k";
  moe.num_experts = num_experts;
  moe.top_k = k;
  moe.is_dropless = true;
  return moe;
}

struct FineGrained {
  int64_t slices, num_experts, k;
};

TEST_F(UpcycleOptions, WholeGroupsOfSlicesAreTheDenseModel) {
  config_.router_init_std = 0.5;
  for (const auto& [slices, num_experts, k] :
       {FineGrained{2, 6, 2}, FineGrained{2, 8, 4}, FineGrained{4, 12, 8}, FineGrained{3, 3, 3}}) {
    SCOPED_TRACE(std::to_string(slices) + " slices, k " + std::to_string(k));
    config_.slices = slices;
    config_.set_moe(dropless_top_k(num_experts, k));
    const model::Model sparse = upcycle(dense_, config_);
    EXPECT_EQ(testing::compare(logits(sparse), logits(dense_), 1e-5, 1e-5), "");
    EXPECT_EQ(sparse.config().moe.expert_d_ff, kHidden / slices);
    // half a group is not the dense block
    config_.set_moe(dropless_top_k(num_experts, k - 1));
    EXPECT_NE(testing::compare(logits(upcycle(dense_, config_)), logits(dense_), 1e-3), "");
  }
}

// With raw weights the block is the dense one times the gate mass, which is 1 where all are chosen.
TEST_F(UpcycleOptions, SlicesUnderRawWeightsHaveTheGateMass) {
  config_.router_init_std = 0.5;
  config_.slices = 2;
  moe::Config moe = dropless_top_k(6, 6);
  moe.combine_weights = moe::CombineWeights::Raw;
  config_.set_moe(moe);
  EXPECT_EQ(testing::compare(logits(upcycle(dense_, config_)), logits(dense_), 1e-5, 1e-5), "");
  moe.top_k = 4;
  config_.set_moe(moe);
  EXPECT_NE(testing::compare(logits(upcycle(dense_, config_)), logits(dense_), 1e-3), "");
}

TEST_F(UpcycleOptions, TheExtraBlockBehindASparseOneAddsNothing) {
  moe::Config moe = dropless_top_k(6, 2);
  moe.has_extra_feed_forward = true;
  config_.set_moe(moe);
  const model::Model sparse = upcycle(dense_, config_);
  EXPECT_GT(sparse.parameters().size(), dense_.parameters().size() + 2);
  EXPECT_EQ(testing::compare(logits(sparse), logits(dense_), 1e-5, 1e-5), "");
}

TEST_F(UpcycleOptions, HalfWidthExpertsWithTop2CostWhatTheDenseModelCosts) {
  config_.slices = 2;
  config_.set_moe(dropless_top_k(8, 2));
  const model::ModelConfig sparse = upcycled_config(dense_.config(), config_);
  const auto dense = model::count_flops_per_token(dense_.config(), 64, 32);
  const auto found = model::count_flops_per_token(sparse, 64, 32);
  const double router = 2.0 * 8 * kWidth;
  EXPECT_DOUBLE_EQ(found.encoder, dense.encoder + router);
  EXPECT_DOUBLE_EQ(found.decoder, dense.decoder + router);
}

// Experts with equal router rows pick the same tokens, so any capacity gives whole groups.
TEST_F(UpcycleOptions, ExpertChoicePicksWholeGroups) {
  moe::Config moe;
  moe.router = "expert-choice";
  moe.set_defaults();
  moe.num_experts = 6;
  moe.combine_weights = moe::CombineWeights::Normalised;
  moe.eval_capacity_factor = 6;
  config_.slices = 3;
  config_.set_moe(moe);
  config_.placement.decoder.kind = model::PlacementKind::None;
  EXPECT_EQ(testing::compare(logits(upcycle(dense_, config_)), logits(dense_), 1e-5, 1e-5), "");
}

TEST_F(UpcycleOptions, SlicesAreThoseOfTheDenseBlock) {
  constexpr int64_t kSlices = 3, kSliceWidth = kHidden / kSlices;
  config_.slices = kSlices;
  const model::Model sparse = upcycle(dense_, config_);
  for_every_expert(sparse, [&](const std::string& name, int64_t e, const at::Tensor& expert,
                               const at::Tensor& dense) {
    const bool is_output = name.ends_with(".wo.weight");
    const at::Tensor slice =
        dense.narrow(is_output ? 1 : 0, e % kSlices * kSliceWidth, kSliceWidth);
    EXPECT_EQ(testing::compare_bits(expert, is_output ? slice.mul(kSlices) : slice), "");
  });
  int num_routers = 0;
  for (const nn::Parameter& parameter : sparse.parameters()) {
    if (!parameter.tags.is_router) continue;
    ++num_routers;
    const at::Tensor rows = parameter.tensor.detach();
    for (int64_t e = 1; e < kNumExperts; ++e)
      EXPECT_EQ(testing::compare_bits(rows[e], rows[e - 1]).empty(), e % kSlices != 0) << e;
  }
  EXPECT_EQ(num_routers, 2);
}

TEST_F(UpcycleOptions, SlicesMayBeChangedTooByNoiseAndNewUnits) {
  config_.slices = 2;
  config_.expert_noise = 0.1;
  config_.reinitialised_fraction = 0.25;
  const model::Model sparse = upcycle(dense_, config_);
  for_every_expert(sparse, [&](const std::string& name, int64_t e, const at::Tensor& expert,
                               const at::Tensor& dense) {
    const bool is_output = name.ends_with(".wo.weight");
    const at::Tensor copy =
        dense.narrow(is_output ? 1 : 0, e % 2 * kHidden / 2, kHidden / 2).mul(is_output ? 2 : 1);
    // a quarter of the units is independent (squared distance 2), and noise is on all
    EXPECT_NEAR(norm(expert.sub(copy)) / norm(copy), std::sqrt(0.25 * 2 + 0.01), 0.06) << name;
  });
}

TEST_F(UpcycleOptions, SaysWhereGroupsAreNotWhole) {
  std::string lines;
  log::set_sink([&](log::Level, const std::string& line) { lines += line + "\n"; });
  config_.slices = 2;
  config_.set_moe(dropless_top_k(6, 2));
  (void)upcycled_config(dense_.config(), config_);
  EXPECT_EQ(lines, "");
  config_.decoder_moe.top_k = 3;
  (void)upcycled_config(dense_.config(), config_);
  EXPECT_CONTAINS(lines, "the decoder's router 'top-k' gives a token 3 experts");
  log::set_sink({});
}

TEST_F(UpcycleOptions, StacksHaveRoutersOfTheirOwn) {
  config_.moe.router = "expert-choice";
  config_.moe.set_defaults();
  config_.moe.num_experts = 8;
  config_.decoder_moe = moe::decoder_default(config_.moe);
  EXPECT_EQ(config_.decoder_moe.router, "top-2");
  config_.decoder_moe.num_experts = 4;
  const model::Model sparse = upcycle(dense_, config_);
  for (const nn::Parameter& parameter : sparse.parameters())
    if (parameter.tags.is_expert())
      EXPECT_EQ(parameter.tensor.size(0), parameter.name.starts_with("encoder") ? 8 : 4);
  (void)logits(sparse);
}

TEST_F(UpcycleOptions, RefusesWhatCannotBe) {
  const auto expect = [&](const std::string& part, const std::function<void(UpcycleConfig&)>& set) {
    UpcycleConfig config = config_;
    set(config);
    expect_error(ErrorCode::InvalidConfig, part, [&] { upcycle(dense_, config); });
  };
  expect("[upcycle.expert_noise] expected 0 or more",
         [](UpcycleConfig& c) { c.expert_noise = -0.1; });
  expect("[upcycle.router_init_std] expected 0 or more",
         [](UpcycleConfig& c) { c.router_init_std = -1; });
  expect("[upcycle.reinitialised_fraction] expected a number from 0 to 1, found 1.5",
         [](UpcycleConfig& c) { c.reinitialised_fraction = 1.5; });
  expect("[upcycle.slices] expected a divisor of d_ff = 96, found 5",
         [](UpcycleConfig& c) { c.slices = 5; });
  expect("[upcycle.slices] expected a divisor", [](UpcycleConfig& c) { c.slices = 0; });
  expect("[upcycle.decoder_moe.num_experts] expected a multiple of upcycle.slices = 2, found 5",
         [](UpcycleConfig& c) { c.slices = 2, c.decoder_moe.num_experts = 5; });
  expect("[upcycle.moe.expert_d_ff]", [](UpcycleConfig& c) { c.moe.expert_d_ff = 48; });
  expect("[upcycle.moe.expert_feed_forward] experts made of a gated-gelu block",
         [](UpcycleConfig& c) { c.moe.expert_feed_forward = moe::ExpertFeedForward::Relu; });
}

}  // namespace
}  // namespace flanmoe::convert
