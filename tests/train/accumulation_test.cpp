// The gradient of a batch that goes through the model in parts is that of the whole.
#include <gtest/gtest.h>

#include <cmath>

#include "base/json.h"
#include "data/batch.h"
#include "support/temporary_folder.h"
#include "train/gradients.h"
#include "train/model_input.h"
#include "train/step.h"
#include "train/tiny.h"

namespace flanmoe::train {
namespace {

data::Batch make_rows(bool is_packed) {
  constexpr uint64_t kNumRows = 7;
  std::vector<std::vector<data::TokenizedExample>> rows;
  for (uint64_t row = 0; row < kNumRows; ++row) {
    rows.emplace_back();
    // rows of different lengths, with different numbers of segments and of target tokens
    for (uint64_t s = 0; s <= (is_packed ? row % 3 : 0); ++s) {
      data::TokenizedExample example = draw_first_token(11 * row + s);
      for (uint64_t i = 0; i < (row + s) % 4; ++i)
        example.targets.insert(example.targets.begin(), static_cast<int32_t>(5 + i));
      rows.back().push_back(example);
    }
  }
  return data::make_packed_batch(rows);
}

struct Gradients {
  StepValues losses;
  std::vector<at::Tensor> gradients;
};

Gradients compute(const model::Model& model, const data::Batch& batch, Config config,
                  int64_t accumulation_steps, at::ScalarType dtype = at::kFloat) {
  config.accumulation_steps = accumulation_steps;
  clear_gradients(model.parameters());
  nn::Context context = make_training_context(config, 3);
  context.compute_dtype = dtype;
  Gradients result;
  result.losses = compute_gradients(model, batch, config, context);
  for (const nn::Parameter& parameter : model.parameters())
    result.gradients.push_back(parameter.tensor.grad().clone());
  return result;
}

// Largest difference of an element, relative to the largest element of the tensor.
double largest_difference(const Gradients& a, const Gradients& b) {
  double largest = 0;
  for (size_t i = 0; i < a.gradients.size(); ++i) {
    const double scale = a.gradients[i].abs().max().item<double>();
    const double difference = a.gradients[i].sub(b.gradients[i]).abs().max().item<double>();
    if (scale > 1e-9) largest = std::max(largest, difference / scale);
  }
  return largest;
}

void expect_same_losses(const Gradients& a, const Gradients& b, double tolerance) {
  ASSERT_EQ(a.losses.size(), b.losses.size());
  for (size_t i = 0; i < a.losses.size(); ++i) {
    EXPECT_EQ(a.losses[i].first, b.losses[i].first);
    EXPECT_NEAR(a.losses[i].second, b.losses[i].second,
                tolerance * std::max(1.0, std::abs(a.losses[i].second)))
        << a.losses[i].first;
  }
}

model::ModelConfig config_of(bool is_sparse) {
  model::ModelConfig config = tiny_model_config(is_sparse);
  if (is_sparse) {
    config.moe.group = moe::RoutingGroup::Sequence;
    config.moe.jitter = 0.02;
    config.moe.expert_dropout_rate = 0.2;
    config.set_moe(config.moe);
  }
  return config;
}

TEST(Accumulation, PartsAddUpToTheWholeBatch) {
  for (const bool is_sparse : {false, true})
    for (const bool is_packed : {false, true})
      for (const auto normalisation :
           {model::LossNormalisation::Tokens, model::LossNormalisation::Sequences})
        for (const auto& [dtype, tolerance] :
             {std::pair{at::kDouble, 1e-10}, std::pair{at::kFloat, 1e-5}}) {
          const model::Model model(config_of(is_sparse), 5, dtype);
          const data::Batch batch = make_rows(is_packed);
          Config config = tiny_config();
          config.logit_z_coefficient = 1e-3;
          config.label_smoothing = 0.1;
          config.loss_normalisation = normalisation;
          const Gradients whole = compute(model, batch, config, 1, dtype);
          for (const int64_t num_parts : {2, 3, 7}) {
            SCOPED_TRACE(fmt::format("sparse {} packed {} {} {} parts {}", is_sparse, is_packed,
                                     to_string(normalisation), c10::toString(dtype), num_parts));
            const Gradients parts = compute(model, batch, config, num_parts, dtype);
            EXPECT_LT(largest_difference(whole, parts), tolerance);
            expect_same_losses(whole, parts, tolerance);
          }
        }
}

TEST(Accumulation, HoldsForLossesThatAreReducedOverLayers) {
  for (const auto reduction : {moe::LayerReduction::Mean, moe::LayerReduction::Pooled}) {
    model::ModelConfig model_config = config_of(true);
    model_config.encoder_sparse_layers = model_config.decoder_sparse_layers = {0, 1};
    model_config.moe.layer_reduction = reduction;
    model_config.moe.load_balance_coefficient = 1;
    model_config.set_moe(model_config.moe);
    const model::Model model(model_config, 5, at::kDouble);
    const data::Batch batch = make_rows(true);
    const Gradients whole = compute(model, batch, tiny_config(), 1, at::kDouble);
    EXPECT_LT(largest_difference(whole, compute(model, batch, tiny_config(), 3, at::kDouble)),
              1e-10)
        << to_string(reduction);
  }
}

// Groups of the size of a batch: the z-loss and, without capacity, the cross-entropy are exact.
TEST(Accumulation, WeightsLossesOfBatchGroupsByTokens) {
  model::ModelConfig model_config = config_of(true);
  model_config.moe.group = moe::RoutingGroup::Batch;
  model_config.moe.is_dropless = true;
  model_config.moe.load_balance_coefficient = 0;
  model_config.set_moe(model_config.moe);
  const model::Model model(model_config, 5, at::kDouble);
  const data::Batch batch = make_rows(true);
  const Gradients whole = compute(model, batch, tiny_config(), 1, at::kDouble);
  EXPECT_LT(largest_difference(whole, compute(model, batch, tiny_config(), 4, at::kDouble)), 1e-10);
}

TEST(Accumulation, ABatchIsMeasuredAsItsTensorsAre) {
  for (const bool is_packed : {false, true}) {
    const data::Batch batch = make_rows(is_packed);
    const model::BatchSize got = measure(batch), want = model::measure(to_model_input(
                                                     batch, tiny_model_config(false), at::kCPU));
    EXPECT_EQ(got.num_rows, want.num_rows);
    EXPECT_EQ(got.num_input_tokens, want.num_input_tokens);
    EXPECT_EQ(got.num_target_tokens, want.num_target_tokens);
    EXPECT_EQ(got.num_input_segments, want.num_input_segments);
    EXPECT_EQ(got.num_target_segments, want.num_target_segments);
    EXPECT_EQ(got.num_input_segments, batch.num_examples);
  }
}

// The test above can fail: normalised part by part, the sum is another one.
TEST(Accumulation, IsNotTheMeanOfThePartsMeans) {
  const model::Model model(config_of(false), 5, at::kDouble);
  const data::Batch batch = make_rows(false);
  const Gradients whole = compute(model, batch, tiny_config(), 1, at::kDouble);
  const Gradients first =
      compute(model, data::select_rows(batch, 0, 3, true), tiny_config(), 1, at::kDouble);
  const Gradients second =
      compute(model, data::select_rows(batch, 3, 4, true), tiny_config(), 1, at::kDouble);
  Gradients mean = whole;
  for (size_t i = 0; i < mean.gradients.size(); ++i)
    mean.gradients[i] = first.gradients[i].add(second.gradients[i]).div(2);
  EXPECT_GT(largest_difference(whole, mean), 1e-3);
}

TEST(Accumulation, TrainsLikeTheWholeBatch) {
  Config config = tiny_config();
  TemporaryFolder folder;
  std::vector<double> losses;
  for (const int64_t num_parts : {1, 3}) {
    model::LoadedModel loaded;
    loaded.model = std::make_unique<model::Model>(config_of(true), 5);
    config.accumulation_steps = num_parts;
    losses.push_back(
        train(loaded, config, tiny_job(folder / std::to_string(num_parts))).final_loss);
  }
  EXPECT_NEAR(losses[0], losses[1], 1e-4);
}

TEST(SelectRows, KeepsWhatARowIs) {
  const data::Batch batch = make_rows(true);
  const data::Batch part = data::select_rows(batch, 2, 3, true);
  EXPECT_EQ(part.num_rows, 3);
  EXPECT_LE(part.input_length, batch.input_length);
  int64_t num_input_tokens = 0, num_target_tokens = 0, num_examples = 0;
  for (const auto& [first, count] : {std::pair{0, 2}, std::pair{2, 3}, std::pair{5, 2}}) {
    const data::Batch rows = data::select_rows(batch, first, count, true);
    num_input_tokens += rows.num_input_tokens;
    num_target_tokens += rows.num_target_tokens;
    num_examples += rows.num_examples;
    for (int64_t row = 0; row < count; ++row)
      for (int64_t i = 0; i < rows.input_length; ++i) {
        const auto here = static_cast<size_t>(row * rows.input_length + i),
                   there = static_cast<size_t>((first + row) * batch.input_length + i);
        EXPECT_EQ(rows.input_ids[here], batch.input_ids[there]);
        EXPECT_EQ(rows.input_segment_ids[here], batch.input_segment_ids[there]);
        EXPECT_EQ(rows.input_positions[here], batch.input_positions[there]);
      }
  }
  EXPECT_EQ(num_input_tokens, batch.num_input_tokens);
  EXPECT_EQ(num_target_tokens, batch.num_target_tokens);
  EXPECT_EQ(num_examples, batch.num_examples);
  EXPECT_EQ(data::select_rows(batch, 0, 1, false).input_length, batch.input_length);

  const data::Batch read = data::parse_batch(data::to_json(batch), "here");
  EXPECT_EQ(data::to_json(read).dump(), data::to_json(batch).dump());
  Json broken = data::to_json(batch);
  broken["input_ids"].erase(0);
  EXPECT_THROW(data::parse_batch(broken, "here"), Error);
}

}  // namespace
}  // namespace flanmoe::train
