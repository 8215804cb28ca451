// Losses of five steps as `transformers` has them (tests/golden/README.md), and a batch as the
// model gets it.
#include <ATen/ops/equal.h>
#include <ATen/ops/where.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "checkpoint/named_tensors.h"
#include "model/folder.h"
#include "train/gradients.h"
#include "train/model_input.h"
#include "train/optimizers/optimizer.h"

namespace flanmoe::train {
namespace {

constexpr const char* kGolden = FLANMOE_SOURCE_DIR "/tests/golden/t5-v1_1-tiny";

// Rows of ids that end where the mask does.
std::vector<std::vector<int32_t>> read_rows(const at::Tensor& ids, int64_t padding) {
  std::vector<std::vector<int32_t>> rows;
  for (int64_t i = 0; i < ids.size(0); ++i) {
    rows.emplace_back();
    for (int64_t j = 0; j < ids.size(1); ++j)
      if (const int64_t id = ids[i][j].item<int64_t>(); id != padding)
        rows.back().push_back(static_cast<int32_t>(id));
  }
  return rows;
}

data::Batch golden_batch(const checkpoint::NamedTensors& golden) {
  const auto inputs = read_rows(golden.at("input_ids"), 0),
             targets = read_rows(golden.at("labels"), -100);
  std::vector<data::TokenizedExample> examples;
  for (size_t i = 0; i < inputs.size(); ++i) examples.push_back({i, inputs[i], targets[i]});
  return data::make_batch(examples);
}

TEST(ModelInput, HoldsTheBatchAsTensors) {
  const checkpoint::NamedTensors golden =
      checkpoint::load_safetensors(std::string(kGolden) + "/expected.safetensors");
  const model::ModelInput input =
      to_model_input(golden_batch(golden), model::load_model_config(kGolden), at::kCPU);
  const at::Tensor& labels = golden.at("labels");
  EXPECT_TRUE(at::equal(input.input_ids_BL, golden.at("input_ids")));
  EXPECT_TRUE(
      at::equal(input.labels_BM, at::where(labels.eq(-100), labels.new_full({}, -1), labels)));
  EXPECT_TRUE(at::equal(input.encoder.segment_ids_BL, golden.at("attention_mask")));
  EXPECT_EQ(input.encoder.num_real_tokens(), 11 + 19 + 32);
  EXPECT_EQ(input.decoder.num_real_tokens(), 24);
}

class GoldenTrajectory : public ::testing::TestWithParam<std::string> {};

TEST_P(GoldenTrajectory, LossesOfFiveStepsMatch) {
  const Json expected = load_json(std::string(kGolden) + "/expected.json");
  const checkpoint::NamedTensors golden =
      checkpoint::load_safetensors(std::string(kGolden) + "/expected.safetensors");
  const model::LoadedModel loaded = model::load_model(kGolden);
  const model::ModelInput input =
      to_model_input(golden_batch(golden), loaded.model->config(), at::kCPU);

  OptimizerConfig config;
  config.name = GetParam();
  if (config.name == "adamw") config.weight_decay = 0.01;
  config.decays_norms = true;
  config.preset = AdafactorPreset::HuggingFace;
  config.apply_preset();
  const auto optimizer = make_optimizer(loaded.model->parameters(), config);

  const std::vector<double> want =
      expected.at("loss_trajectory_5_steps").at(config.name + "_float64");
  const Json& tolerance = expected.at("tolerance").at("loss_trajectory");
  ASSERT_EQ(want.size(), 6u);
  for (size_t step = 0; step < want.size(); ++step) {
    nn::Context context;
    const model::LossOutput output = loaded.model->loss(input, context);
    EXPECT_NEAR(
        output.loss.item<double>(), want[step],
        tolerance.at("atol").get<double>() + tolerance.at("rtol").get<double>() * want[step])
        << step;
    output.loss.backward();
    optimizer->step(static_cast<int64_t>(step) + 1, 1e-3, 1.0);
    clear_gradients(loaded.model->parameters());
  }
}

INSTANTIATE_TEST_SUITE_P(Optimizers, GoldenTrajectory, ::testing::Values("adamw", "adafactor"),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace flanmoe::train
