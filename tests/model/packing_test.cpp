// Packed rows train as rows of one example each: loss and gradients are the same, noise included.
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "data/batch.h"
#include "model/model.h"
#include "moe/router.h"
#include "support/expect_error.h"
#include "support/tensors.h"
#include "support/tiny_model.h"

namespace flanmoe::model {
namespace {

using data::TokenizedExample;
using testing::compare;
using testing::index_tensor;
using testing::integers;

using Rows = std::vector<std::vector<TokenizedExample>>;

ModelInput to_input(const data::Batch& batch, const ModelConfig& config) {
  const auto tensor = [&](const std::vector<int64_t>& values, int64_t length) {
    return index_tensor(values, {batch.num_rows, length});
  };
  return make_input(tensor(batch.input_ids, batch.input_length),
                    tensor(batch.input_segment_ids, batch.input_length),
                    tensor(batch.target_ids, batch.target_length),
                    tensor(batch.target_segment_ids, batch.target_length), config,
                    batch.example_keys);
}

std::vector<TokenizedExample> make_examples(const ModelConfig& config) {
  RandomStream random(RandomKey(9, RandomPurpose::Generator));
  std::vector<TokenizedExample> examples;
  for (uint64_t i = 0; i < 11; ++i)
    examples.push_back(
        {mix64(i), testing::random_row(config, static_cast<size_t>(random.between(1, 19)), 100 + i),
         testing::random_row(config, static_cast<size_t>(random.between(1, 8)), 200 + i)});
  return examples;
}

Rows one_a_row(const std::vector<TokenizedExample>& examples) {
  Rows rows;
  for (const TokenizedExample& example : examples) rows.push_back({example});
  return rows;
}

// Best fit: neighbours and rows come in another order than unpacked.
Rows pack(const std::vector<TokenizedExample>& examples) {
  std::vector<data::SideLengths> lengths;
  for (const TokenizedExample& example : examples)
    lengths.push_back({static_cast<int64_t>(example.inputs.size()),
                       static_cast<int64_t>(example.targets.size())});
  Rows rows;
  for (const auto& indices : data::pack_best_fit(lengths, {40, 15})) {
    rows.emplace_back();
    for (const uint32_t i : indices) rows.back().push_back(examples[i]);
  }
  return rows;
}

// Rows of three, in the order of the examples: for what sees the batch as a whole.
Rows pack_in_order(const std::vector<TokenizedExample>& examples) {
  Rows rows;
  for (size_t i = 0; i < examples.size(); ++i) {
    if (i % 3 == 0) rows.emplace_back();
    rows.back().push_back(examples[i]);
  }
  return rows;
}

class DropCounter final : public nn::RoutingSink {
 public:
  void record(const std::string&, const ops::Routing& routing) override {
    for (const int64_t requested : routing.requested) num_requested_ += requested;
    num_served_ += routing.expert_offsets.back();
  }
  int64_t num_dropped() const { return num_requested_ - num_served_; }

 private:
  int64_t num_requested_ = 0, num_served_ = 0;
};

struct Pass {
  double loss;
  std::vector<at::Tensor> gradients;
  int64_t num_dropped;
  int64_t num_target_tokens;
};

Pass run(const Model& model, const ModelInput& input, LossNormalisation normalisation) {
  DropCounter drops;
  nn::Context context;
  context.is_training = true;
  context.compute_dtype = model.parameters()[0].tensor.scalar_type();
  context.seed = 3;
  context.step = 8;
  context.routing_sink = &drops;
  LossOptions options;
  options.z_coefficient = 1e-3;
  options.normalisation = normalisation;
  const LossOutput output = model.loss(input, context, options);
  output.loss.backward();
  Pass pass{output.loss.item<double>(), {}, drops.num_dropped(), output.num_target_tokens};
  for (const nn::Parameter& parameter : model.parameters()) {
    pass.gradients.push_back(parameter.tensor.grad().defined() ? parameter.tensor.grad().clone()
                                                               : at::zeros_like(parameter.tensor));
    parameter.tensor.mutable_grad() = at::Tensor();
  }
  return pass;
}

Pass run(const Model& model, const Rows& rows,
         LossNormalisation normalisation = LossNormalisation::Tokens) {
  return run(model, to_input(data::make_packed_batch(rows), model.config()), normalisation);
}

void expect_equal(const Model& model, const Pass& got, const Pass& want, double tolerance) {
  EXPECT_EQ(got.num_target_tokens, want.num_target_tokens);
  EXPECT_EQ(got.num_dropped, want.num_dropped);
  EXPECT_NEAR(got.loss, want.loss, tolerance);
  for (size_t i = 0; i < got.gradients.size(); ++i)
    EXPECT_EQ(compare(got.gradients[i], want.gradients[i], tolerance), "")
        << model.parameters()[i].name;
}

struct Named {
  std::string name;
  ModelConfig config;
};
void PrintTo(const Named& named, std::ostream* out) {
  *out << named.name;
}

class PackingEquality : public ::testing::TestWithParam<Named> {
 protected:
  // Routers that choose, and all noise there is.
  Model make_model(const ModelConfig& config, at::ScalarType dtype) const {
    Model model(config, 4, dtype);
    for (const nn::Parameter& parameter : model.parameters())
      if (parameter.tags.is_relative_bias || parameter.tags.is_router)
        parameter.tensor.detach().copy_(testing::random_tensor(parameter.tensor.sizes(), 77));
    return model;
  }
  const ModelConfig& config() const { return GetParam().config; }
};

TEST_P(PackingEquality, LossAndGradientsAreThoseOfTheExamplesUnpacked) {
  const auto examples = make_examples(config());
  ASSERT_LT(pack(examples).size(), examples.size() / 2);
  const Model model = make_model(config(), at::kDouble);
  for (const auto normalisation : {LossNormalisation::Tokens, LossNormalisation::Sequences}) {
    const Pass apart = run(model, one_a_row(examples), normalisation),
               packed = run(model, pack(examples), normalisation);
    expect_equal(model, packed, apart, 1e-10);
    // what is limited must have met its limit
    const bool is_limited = config().is_sparse() && config().moe.router != "expert-choice" &&
                            config().moe.router != "dense" && !config().moe.is_dropless;
    EXPECT_EQ(apart.num_dropped > 0, is_limited);
  }
}

TEST_P(PackingEquality, HoldsInFloat32) {
  const auto examples = make_examples(config());
  const Model model = make_model(config(), at::kFloat);
  expect_equal(model, run(model, pack(examples)), run(model, one_a_row(examples)), 1e-5);
}

// A capacity over the whole batch counts real tokens, so it is the same where the order is.
TEST_P(PackingEquality, HoldsForGroupsOfAWholeBatchInTheSameOrder) {
  ModelConfig whole = config();
  whole.moe.group = whole.decoder_moe.group = moe::RoutingGroup::Batch;
  const auto examples = make_examples(whole);
  const Model model = make_model(whole, at::kDouble);
  expect_equal(model, run(model, pack_in_order(examples)), run(model, one_a_row(examples)), 1e-10);
}

// The tests above would not pass if segments saw each other or shared their noise.
TEST_P(PackingEquality, IsLostWhereSegmentsLeakOrNoiseGoesByRow) {
  const auto examples = make_examples(config());
  const Model model = make_model(config(), at::kDouble);
  const double want = run(model, one_a_row(examples)).loss;
  const data::Batch batch = data::make_packed_batch(pack(examples));

  data::Batch one_key_a_row = batch;
  for (size_t i = 0; i < one_key_a_row.example_keys.size(); ++i)
    one_key_a_row.example_keys[i] =
        batch.example_keys[i - i % static_cast<size_t>(batch.max_segments)];
  EXPECT_GT(std::abs(run(model, to_input(one_key_a_row, config()), LossNormalisation::Tokens).loss -
                     want),
            1e-5);

  data::Batch one_segment = batch;
  for (int64_t& id : one_segment.input_segment_ids) id = std::min<int64_t>(id, 1);
  for (int64_t& id : one_segment.target_segment_ids) id = std::min<int64_t>(id, 1);
  EXPECT_GT(
      std::abs(run(model, to_input(one_segment, config()), LossNormalisation::Tokens).loss - want),
      1e-5);
}

std::vector<Named> every_router() {
  ModelConfig dense = testing::tiny_config();
  dense.dropout_rate = 0.1;
  std::vector<Named> forms = {{"no_experts", dense}};
  for (const std::string& router : moe::router_registry().names()) {
    ModelConfig config = testing::tiny_sparse_config();
    config.dropout_rate = 0.1;
    moe::Config& moe = config.moe;
    moe.router = router;
    moe.set_defaults();
    moe.is_dropless = router == "dense";
    moe.group = moe::RoutingGroup::Sequence;
    moe.train_capacity_factor = 0.75;
    moe.jitter = 0.05;
    moe.expert_dropout_rate = 0.1;
    moe.has_extra_feed_forward = router == "st-moe";
    config.decoder_moe = moe;
    std::string name = "router_" + router;
    std::replace(name.begin(), name.end(), '-', '_');
    forms.push_back({name, config});
    if (router == "switch" || router == "top-k") {
      config.moe.priority = config.decoder_moe.priority = moe::Priority::Probability;
      config.moe.layer_reduction = config.decoder_moe.layer_reduction = moe::LayerReduction::Mean;
      forms.push_back({name + "_batch_prioritised", config});
    }
  }
  return forms;
}

INSTANTIATE_TEST_SUITE_P(Forms, PackingEquality, ::testing::ValuesIn(every_router()),
                         [](const auto& instance) { return instance.param.name; });

// ---- loss normalisation

// Plain loops over the losses of the tokens.
double normalise(const LossOutput& output, const ModelInput& input, LossNormalisation how) {
  const auto segments = integers(input.decoder.segment_ids_BL);
  const int64_t length = input.decoder.length;
  double token_sum = 0, sequence_sum = 0;
  int64_t num_tokens = 0, num_sequences = 0;
  for (int64_t row = 0; row < input.decoder.num_rows; ++row)
    for (int64_t id = 1; id <= 11; ++id) {
      double sum = 0;
      int64_t count = 0;
      for (int64_t i = 0; i < length; ++i) {
        if (segments[static_cast<size_t>(row * length + i)] != id) continue;
        sum += output.token_loss_BM[row][i].item<double>();
        ++count;
      }
      if (count == 0) continue;
      token_sum += sum;
      num_tokens += count;
      sequence_sum += sum / static_cast<double>(count);
      ++num_sequences;
    }
  return how == LossNormalisation::Tokens ? token_sum / static_cast<double>(num_tokens)
                                          : sequence_sum / static_cast<double>(num_sequences);
}

TEST(LossNormalisation, IsWhatPlainLoopsGive) {
  const ModelConfig config = testing::tiny_config();
  const Model model(config, 4, at::kDouble);
  const auto examples = make_examples(config);
  for (const Rows& rows : {one_a_row(examples), pack(examples), one_a_row({examples[0]})}) {
    const ModelInput input = to_input(data::make_packed_batch(rows), config);
    for (const auto how : {LossNormalisation::Tokens, LossNormalisation::Sequences}) {
      nn::Context context;
      context.compute_dtype = at::kDouble;
      LossOptions options;
      options.z_coefficient = 1e-2;
      options.normalisation = how;
      const LossOutput output = model.loss(input, context, options);
      EXPECT_NEAR(output.cross_entropy.item<double>(), normalise(output, input, how), 1e-12);
      EXPECT_EQ(output.loss.item<double>(), output.cross_entropy.item<double>());
    }
  }
}

TEST(LossNormalisation, SequencesGiveEveryExampleTheSameSay) {
  const ModelConfig config = testing::tiny_config();
  const Model model(config, 4, at::kDouble);
  const auto examples = make_examples(config);
  std::vector<at::Tensor> mean;
  for (const TokenizedExample& example : examples) {
    const Pass alone = run(model, {{example}});
    for (size_t i = 0; i < alone.gradients.size(); ++i) {
      const at::Tensor part = alone.gradients[i].div(static_cast<double>(examples.size()));
      if (mean.size() == i)
        mean.push_back(part);
      else
        mean[i].add_(part);
    }
  }
  const Pass packed = run(model, pack(examples), LossNormalisation::Sequences);
  for (size_t i = 0; i < mean.size(); ++i)
    EXPECT_EQ(compare(packed.gradients[i], mean[i], 1e-10), "") << model.parameters()[i].name;
}

// ---- keys

TEST(TokenKeys, BelongToTheExampleNotToItsPlace) {
  const ModelConfig config = testing::tiny_config();
  const std::vector<TokenizedExample> examples = {
      {71, {5, 6, 1}, {8, 1}}, {72, {7, 1}, {8, 9, 1}}, {73, {5, 1}, {1}}};
  const auto keys_of = [&](const Rows& rows) {
    const ModelInput input = to_input(data::make_packed_batch(rows), config);
    return std::make_pair(integers(input.encoder.token_keys_BL),
                          integers(input.decoder.token_keys_BL));
  };
  const auto [inputs, targets] = keys_of({{examples[0], examples[1]}, {examples[2]}});
  const auto [alone, alone_targets] = keys_of({{examples[1]}});
  EXPECT_EQ((std::vector<int64_t>{inputs[3], inputs[4]}), alone);
  EXPECT_EQ((std::vector<int64_t>{targets[2], targets[3], targets[4]}), alone_targets);
  const auto [turned, turned_targets] = keys_of({{examples[1], examples[0]}, {examples[2]}});
  EXPECT_EQ((std::vector<int64_t>{turned[2], turned[3], turned[4], turned[0], turned[1]}),
            (std::vector<int64_t>{inputs.begin(), inputs.begin() + 5}));
  auto sorted = std::vector<int64_t>{inputs.begin(), inputs.begin() + 7};
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(std::unique(sorted.begin(), sorted.end()), sorted.end());
}

TEST(TokenKeys, RefuseASegmentWithoutOne) {
  const ModelConfig config = testing::tiny_config();
  const auto make = [&](const std::vector<uint64_t>& keys) {
    make_input(index_tensor({5, 1, 6, 1}, {1, 4}), index_tensor({1, 1, 2, 2}, {1, 4}),
               index_tensor({5, 6}, {1, 2}), index_tensor({1, 2}, {1, 2}), config, keys);
  };
  make({3, 4});
  make({});
  expect_error(ErrorCode::ShapeMismatch, "row 0 has a segment 2", [&] { make({3}); });
  expect_error(ErrorCode::ShapeMismatch, "1 example keys for 2 rows", [&] {
    make_input(index_tensor({5, 1}, {2, 1}), {}, index_tensor({5, 6}, {2, 1}), {}, config, {3});
  });
}

}  // namespace
}  // namespace flanmoe::model
