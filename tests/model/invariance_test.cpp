// What a model's predictions and losses may not depend on: packing, padding, row order, batch size,
// the cache.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "model/model.h"
#include "moe/router.h"
#include "nn/kv_cache.h"
#include "support/expect_error.h"
#include "support/tensors.h"
#include "support/tiny_model.h"

namespace flanmoe::model {
namespace {

using testing::compare;
using testing::index_tensor;
using testing::integers;

struct Example {
  std::vector<int64_t> input, target;
};

std::vector<Example> make_examples(const ModelConfig& config) {
  std::vector<Example> examples;
  const std::pair<size_t, size_t> kLengths[] = {{7, 5}, {12, 3}, {3, 9}};
  for (const auto& [input, target] : kLengths) {
    const auto a = testing::random_row(config, input, 100 + examples.size()),
               b = testing::random_row(config, target, 200 + examples.size());
    examples.push_back({{a.begin(), a.end()}, {b.begin(), b.end()}});
  }
  return examples;
}

// Rows of several examples each (one: not packed), padded to `input_length` and `target_length`
// where those are longer.
ModelInput batch(const std::vector<std::vector<Example>>& rows, const ModelConfig& config,
                 const std::vector<uint64_t>& keys = {}, size_t input_length = 0,
                 size_t target_length = 0) {
  std::vector<std::vector<int64_t>> ids[2], segments[2];
  size_t length[2] = {input_length, target_length};
  for (const auto& row : rows) {
    for (int side : {0, 1}) {
      ids[side].emplace_back();
      segments[side].emplace_back();
      for (size_t s = 0; s < row.size(); ++s)
        for (int64_t id : side ? row[s].target : row[s].input) {
          ids[side].back().push_back(id);
          segments[side].back().push_back(static_cast<int64_t>(s) + 1);
        }
      length[side] = std::max(length[side], ids[side].back().size());
    }
  }
  at::Tensor tensors[2][2];
  for (int side : {0, 1})
    for (int part : {0, 1}) {
      std::vector<int64_t> flat;
      for (auto row : part ? segments[side] : ids[side]) {
        row.resize(length[side], 0);
        flat.insert(flat.end(), row.begin(), row.end());
      }
      tensors[side][part] = index_tensor(
          flat, {static_cast<int64_t>(rows.size()), static_cast<int64_t>(length[side])});
    }
  return make_input(tensors[0][0], tensors[0][1], tensors[1][0], tensors[1][1], config, keys);
}

std::vector<std::vector<Example>> one_a_row(const std::vector<Example>& examples) {
  std::vector<std::vector<Example>> rows;
  for (const Example& example : examples) rows.push_back({example});
  return rows;
}

nn::Context make_context(at::ScalarType dtype, bool is_training = false) {
  nn::Context context;
  context.compute_dtype = dtype;
  context.is_training = is_training;
  context.seed = 3;
  context.step = 8;
  return context;
}

// A tiny model of every form in float64, so that different orders of summation do not matter.
struct Named {
  std::string name;
  ModelConfig config;
};
void PrintTo(const Named& named, std::ostream* out) {
  *out << named.name;
}

class Invariance : public ::testing::TestWithParam<Named> {
 protected:
  Invariance()
      : model_(GetParam().config, 4, at::kDouble), examples_(make_examples(model_.config())) {
    const at::NoGradGuard no_grad;  // livelier than at the beginning
    for (const nn::Parameter& parameter : model_.parameters())
      if (parameter.tags.is_relative_bias || parameter.tags.is_router)
        parameter.tensor.copy_(testing::random_tensor(parameter.tensor.sizes(), 77));
  }
  bool is_sparse() const { return model_.config().is_sparse(); }
  at::Tensor logits(const ModelInput& input, bool is_training = false) const {
    const at::NoGradGuard no_grad;
    nn::Context context = make_context(at::kDouble, is_training);
    return model_.forward(input, context);
  }
  LossOutput loss(const ModelInput& input, bool is_training = false) const {
    const at::NoGradGuard no_grad;
    nn::Context context = make_context(at::kDouble, is_training);
    return model_.loss(input, context);
  }

  Model model_;
  std::vector<Example> examples_;
};

TEST_P(Invariance, ExamplesInOneRowAreAsInRowsOfTheirOwn) {
  const ModelInput packed = batch({{examples_[0], examples_[1]}, {examples_[2]}}, model_.config());
  EXPECT_TRUE(packed.encoder.is_packed);
  const ModelInput apart = batch(one_a_row(examples_), model_.config());
  const at::Tensor together = logits(packed), alone = logits(apart);
  EXPECT_EQ(compare(together[0].narrow(0, 0, 5), alone[0].narrow(0, 0, 5), 1e-10), "");
  EXPECT_EQ(compare(together[0].narrow(0, 5, 3), alone[1].narrow(0, 0, 3), 1e-10), "");
  EXPECT_EQ(compare(together[1].narrow(0, 0, 9), alone[2].narrow(0, 0, 9), 1e-10), "");
  const LossOutput a = loss(packed), b = loss(apart);
  EXPECT_EQ(a.num_target_tokens, 17);
  EXPECT_EQ(b.num_target_tokens, 17);
  EXPECT_NEAR(a.cross_entropy.item<double>(), b.cross_entropy.item<double>(), 1e-11);
  EXPECT_EQ(compare(a.token_loss_BM[0].narrow(0, 5, 3), b.token_loss_BM[1].narrow(0, 0, 3), 1e-10),
            "");
}

TEST_P(Invariance, GradientsOfPackedRowsAreThoseOfRowsOfTheirOwn) {
  std::vector<std::vector<at::Tensor>> gradients;
  for (const bool is_packed : {false, true}) {
    nn::Context context = make_context(at::kDouble);
    model_
        .loss(is_packed ? batch({{examples_[2], examples_[0], examples_[1]}}, model_.config())
                        : batch(one_a_row(examples_), model_.config()),
              context)
        .loss.backward();
    gradients.emplace_back();
    for (const nn::Parameter& parameter : model_.parameters()) {
      gradients.back().push_back(parameter.tensor.grad().clone());
      parameter.tensor.mutable_grad() = at::Tensor();
    }
  }
  for (size_t i = 0; i < gradients[0].size(); ++i)
    EXPECT_EQ(compare(gradients[1][i], gradients[0][i], 1e-10), "") << model_.parameters()[i].name;
}

TEST_P(Invariance, PaddingChangesNothingForRealTokens) {
  for (const bool is_training : {false, true}) {
    const std::vector<uint64_t> keys = {mix64(1), mix64(2), mix64(3)};
    const ModelInput narrow = batch(one_a_row(examples_), model_.config(), keys),
                     wide = batch(one_a_row(examples_), model_.config(), keys, 21, 17);
    const at::Tensor a = logits(narrow, is_training), b = logits(wide, is_training);
    for (int64_t row = 0; row < 3; ++row) {
      const auto length = static_cast<int64_t>(examples_[static_cast<size_t>(row)].target.size());
      EXPECT_EQ(compare(b[row].narrow(0, 0, length), a[row].narrow(0, 0, length), 1e-10), "")
          << row;
    }
    EXPECT_NEAR(loss(wide, is_training).loss.item<double>(),
                loss(narrow, is_training).loss.item<double>(), 1e-10);
  }
  // What stands at padding is never read.
  ModelInput other = batch(one_a_row(examples_), model_.config(), {}, 21, 17);
  const double before = loss(other).loss.item<double>();
  other.input_ids_BL = other.input_ids_BL.masked_fill(other.encoder.segment_ids_BL.eq(0), 9);
  other.decoder_input_ids_BM =
      other.decoder_input_ids_BM.masked_fill(other.decoder.segment_ids_BL.eq(0), 9);
  EXPECT_NEAR(loss(other).loss.item<double>(), before, 1e-12);
}

TEST_P(Invariance, NoiseBelongsToTheExampleWhateverTheBatch) {
  const std::vector<uint64_t> keys = {mix64(1), mix64(2), mix64(3)};
  const at::Tensor together = logits(batch(one_a_row(examples_), model_.config(), keys), true);
  const at::Tensor turned = logits(batch({{examples_[2]}, {examples_[1]}, {examples_[0]}},
                                         model_.config(), {keys[2], keys[1], keys[0]}),
                                   true);
  for (size_t i = 0; i < 3; ++i) {
    const auto row = static_cast<int64_t>(i),
               length = static_cast<int64_t>(examples_[i].target.size());
    const at::Tensor want = together[row].narrow(0, 0, length);
    EXPECT_EQ(compare(turned[2 - row].narrow(0, 0, length), want, 1e-10), "") << i;
    const at::Tensor alone = logits(batch({{examples_[i]}}, model_.config(), {keys[i]}), true);
    EXPECT_EQ(compare(alone[0], want, 1e-10), "") << i;
    EXPECT_NE(compare(logits(batch({{examples_[i]}}, model_.config(), {keys[i] + 1}), true)[0],
                      want, 1e-3),
              "")
        << i;
    EXPECT_NE(compare(logits(batch({{examples_[i]}}, model_.config(), {keys[i]}))[0], want, 1e-3),
              "")
        << i;
  }
}

TEST_P(Invariance, NoiseChangesWithSeedAndStepOnly) {
  const at::NoGradGuard no_grad;
  const ModelInput input = batch(one_a_row(examples_), model_.config());
  const at::Tensor first = logits(input, true);
  EXPECT_EQ(testing::compare_bits(logits(input, true), first), "");
  for (const bool is_seed : {false, true}) {
    nn::Context context = make_context(at::kDouble, true);
    ++(is_seed ? reinterpret_cast<int64_t&>(context.seed) : context.step);
    EXPECT_NE(compare(model_.forward(input, context), first, 1e-3), "");
  }
}

TEST_P(Invariance, DecodingWithACacheIsDecodingAtOnce) {
  const at::NoGradGuard no_grad;
  std::vector<Example> examples = examples_;
  for (Example& example : examples) example.target = examples_[2].target;  // 9 tokens
  const ModelInput input = batch(one_a_row(examples), model_.config());
  nn::Context context = make_context(at::kDouble);
  const at::Tensor encoded = model_.encode(input.input_ids_BL, input.encoder, context);
  const at::Tensor whole =
      model_.decode(input.decoder_input_ids_BM, input.decoder, encoded, input.encoder, context);
  for (const std::vector<int64_t>& steps : {std::vector<int64_t>(9, 1), {4, 1, 3, 1}, {9}}) {
    nn::KvCache cache(model_.config().num_decoder_layers, 11);
    context.cache = &cache;
    std::vector<at::Tensor> parts;
    for (int64_t length : steps) {
      const int64_t start = cache.length();
      const at::Tensor positions =
          at::arange(start, start + length, at::TensorOptions(at::kLong)).expand({3, length});
      const nn::TokenLayout layout = nn::make_layout(3, length, {}, positions);
      parts.push_back(model_.decode(input.decoder_input_ids_BM.narrow(1, start, length), layout,
                                    start ? at::Tensor() : encoded, input.encoder, context));
    }
    EXPECT_EQ(cache.length(), 9);
    EXPECT_EQ(compare(at::cat(parts, 1), whole, 1e-10), "") << steps.size() << " steps";
  }
}

TEST_P(Invariance, RowsOfACacheMayBeRearranged) {
  const at::NoGradGuard no_grad;
  std::vector<Example> examples = examples_;
  for (Example& example : examples) example.target = examples_[2].target;
  const ModelInput input = batch(one_a_row(examples), model_.config());
  nn::Context context = make_context(at::kDouble);
  const at::Tensor encoded = model_.encode(input.input_ids_BL, input.encoder, context);
  const at::Tensor whole =
      model_.decode(input.decoder_input_ids_BM, input.decoder, encoded, input.encoder, context);
  nn::KvCache cache(model_.config().num_decoder_layers, 9);
  context.cache = &cache;
  model_.decode(input.decoder_input_ids_BM.narrow(1, 0, 5), nn::make_layout(3, 5), encoded,
                input.encoder, context);
  const at::Tensor rows = index_tensor({2, 0});
  cache.select_rows(rows);
  const nn::TokenLayout encoder =
      nn::make_layout(2, input.encoder.length, input.encoder.segment_ids_BL.index_select(0, rows));
  const at::Tensor rest =
      model_.decode(input.decoder_input_ids_BM.index_select(0, rows).narrow(1, 5, 4),
                    nn::make_layout(2, 4, {}, index_tensor({5, 6, 7, 8, 5, 6, 7, 8}, {2, 4})), {},
                    encoder, context);
  EXPECT_EQ(compare(rest, whole.index_select(0, rows).narrow(1, 5, 4), 1e-10), "");
}

TEST_P(Invariance, LaterTokensAreNotSeen) {
  const ModelInput input = batch({{examples_[2]}}, model_.config());
  ModelInput changed = input;
  changed.decoder_input_ids_BM = input.decoder_input_ids_BM.clone();
  changed.decoder_input_ids_BM[0][6] = 33;
  const at::Tensor a = logits(input), b = logits(changed);
  EXPECT_EQ(compare(b.narrow(1, 0, 6), a.narrow(1, 0, 6), 1e-12), "");
  EXPECT_NE(compare(b.narrow(1, 6, 1), a.narrow(1, 6, 1), 1e-3), "");
  EXPECT_NE(compare(b.narrow(1, 8, 1), a.narrow(1, 8, 1), 1e-6), "");
}

TEST_P(Invariance, LossIsCrossEntropyPlusWhatTheRoutersAskFor) {
  const ModelInput input = batch(one_a_row(examples_), model_.config());
  const LossOutput evaluation = loss(input), training = loss(input, true);
  EXPECT_TRUE(evaluation.auxiliary.losses.empty());
  EXPECT_EQ(evaluation.loss.item<double>(), evaluation.cross_entropy.item<double>());
  const moe::Config& moe = model_.config().moe;
  const bool has_losses = is_sparse() && moe::make_router(moe)->is_learned();
  EXPECT_EQ(training.auxiliary.losses.size(), has_losses ? 4u : 0u);
  double total = training.cross_entropy.item<double>();
  for (const nn::AuxiliaryLoss& term : training.auxiliary.losses) {
    EXPECT_EQ(term.coefficient,
              term.name == "z_loss" ? moe.z_loss_coefficient : moe.load_balance_coefficient);
    EXPECT_GT(term.value.item<double>(), 0);
    total += term.coefficient * term.value.item<double>();
  }
  EXPECT_NEAR(training.loss.item<double>(), total, 1e-12);

  // By hand from the logits.
  const at::Tensor log_probability = logits(input).log_softmax(2);
  double sum = 0;
  for (int64_t row = 0; row < 3; ++row)
    for (size_t m = 0; m < examples_[static_cast<size_t>(row)].target.size(); ++m) {
      const double token = -log_probability[row][static_cast<int64_t>(m)]
                                           [examples_[static_cast<size_t>(row)].target[m]]
                                               .item<double>();
      EXPECT_NEAR(evaluation.token_loss_BM[row][static_cast<int64_t>(m)].item<double>(), token,
                  1e-10);
      sum += token;
    }
  EXPECT_NEAR(evaluation.cross_entropy.item<double>(), sum / 17, 1e-10);
  EXPECT_NEAR(evaluation.token_loss_BM.sum().item<double>(), sum, 1e-9);  // 0 at padding
}

TEST_P(Invariance, LossHasTheGradientOfFiniteDifferences) {
  const ModelInput input = batch(one_a_row(examples_), model_.config());
  const auto value = [&] {
    nn::Context context = make_context(at::kDouble, true);
    LossOptions options;
    options.z_coefficient = 1e-2;
    return model_.loss(input, context, options).loss;
  };
  value().backward();
  const at::NoGradGuard no_grad;
  for (const nn::Parameter& parameter : model_.parameters()) {
    ASSERT_TRUE(parameter.tensor.grad().defined()) << parameter.name;
    const at::Tensor direction =
        testing::random_tensor(parameter.tensor.sizes(), 5, at::kDouble, 1e-6);
    const at::Tensor kept = parameter.tensor.clone();
    parameter.tensor.add_(direction);
    const double above = value().item<double>();
    parameter.tensor.sub_(direction.mul(2));
    const double below = value().item<double>();
    parameter.tensor.copy_(kept);
    const double want = direction.mul(parameter.tensor.grad()).sum().item<double>();
    EXPECT_NEAR((above - below) / 2, want, 1e-12 + 1e-4 * std::abs(want)) << parameter.name;
  }
}

// bfloat16 has 8 bits of mantissa; a few layers add up to some percent of the spread of the logits.
TEST_P(Invariance, Bfloat16IsNearFloat32) {
  const Model narrow(GetParam().config, 4);
  const at::NoGradGuard no_grad;
  const ModelInput input = batch(one_a_row(examples_), model_.config());
  nn::Context wide_context = make_context(at::kFloat), narrow_context = make_context(at::kBFloat16);
  const LossOutput wide = narrow.loss(input, wide_context),
                   half = narrow.loss(input, narrow_context);
  EXPECT_NEAR(half.loss.item<double>(), wide.loss.item<double>(), 0.02 * wide.loss.item<double>());
  EXPECT_EQ(half.loss.scalar_type(), at::kFloat);
  const at::Tensor a = narrow.forward(input, wide_context),
                   b = narrow.forward(input, narrow_context);
  EXPECT_EQ(b.scalar_type(), at::kBFloat16);
  EXPECT_LT(b.to(at::kFloat).sub(a).square().mean().sqrt().item<double>(),
            0.04 * a.std().item<double>());
  // fp32 against fp64 tells that the difference above is rounding.
  const Model exact(GetParam().config, 4, at::kDouble);
  nn::Context exact_context = make_context(at::kDouble);
  EXPECT_NEAR(wide.loss.item<double>(), exact.loss(input, exact_context).loss.item<double>(), 1e-5);
}

std::vector<Named> every_form() {
  ModelConfig v1_0 = testing::tiny_config(), top_2 = testing::tiny_sparse_config(),
              limited = testing::tiny_sparse_config();
  v1_0.feed_forward = FeedForwardKind::Relu;
  v1_0.has_tied_embeddings = v1_0.scales_decoder_outputs = true;
  top_2.moe.jitter = 0.05;
  top_2.moe.expert_dropout_rate = 0.1;
  top_2.set_moe(top_2.moe);
  // Sequences are groups of their own, so a limit does not tie the rows of a batch; in a cache
  // every step would have its own, so it never binds in the decoder.
  limited.moe.router = "switch";
  limited.moe.combine_weights = moe::CombineWeights::Raw;
  limited.moe.group = moe::RoutingGroup::Sequence;
  limited.moe.is_dropless = false;
  limited.moe.capacity_rule = moe::CapacityRule::Absolute;
  limited.moe.expert_capacity = 3;
  limited.set_moe(limited.moe);
  limited.encoder_sparse_layers = {0, 1};
  limited.decoder_sparse_layers = {};
  std::vector<Named> forms = {
      {"v1_1", testing::tiny_config()}, {"v1_0", v1_0}, {"top_2", top_2}, {"limited", limited}};
  // Rows of a batch and later tokens change nothing where nothing is dropped, whatever the router.
  for (const std::string& router : moe::router_registry().names()) {
    ModelConfig config = testing::tiny_sparse_config();
    config.moe.router = router;
    config.moe.set_defaults();
    config.moe.is_dropless = router != "expert-choice";
    config.moe.has_extra_feed_forward = router == "st-moe";
    config.decoder_moe = config.moe;
    std::string name = "router_" + router;
    std::replace(name.begin(), name.end(), '-', '_');
    forms.push_back({name, config});
  }
  return forms;
}

INSTANTIATE_TEST_SUITE_P(Forms, Invariance, ::testing::ValuesIn(every_form()),
                         [](const auto& instance) { return instance.param.name; });

// ---- inputs

TEST(MakeInput, ShiftsInsideSegments) {
  ModelConfig config = testing::tiny_config();
  config.pad_token_id = 7;
  config.decoder_start_token_id = 8;
  const at::Tensor inputs = index_tensor({11, 12, 13, 14, 0, 0}, {2, 3});
  const at::Tensor targets = index_tensor({21, 22, 1, 31, 1, 41, 42, 1, 0, 0}, {2, 5});
  const ModelInput input =
      make_input(inputs, index_tensor({1, 1, 2, 1, 0, 0}, {2, 3}), targets,
                 index_tensor({1, 1, 1, 2, 2, 1, 1, 1, 0, 0}, {2, 5}), config, {5, 6, 7, 0});
  EXPECT_EQ(integers(input.decoder_input_ids_BM),
            (std::vector<int64_t>{8, 21, 22, 8, 31, 8, 41, 42, 7, 7}));
  EXPECT_EQ(integers(input.labels_BM), (std::vector<int64_t>{21, 22, 1, 31, 1, 41, 42, 1, -1, -1}));
  EXPECT_EQ(integers(input.input_ids_BL), integers(inputs));
  EXPECT_EQ(integers(input.encoder.segment_ids_BL), (std::vector<int64_t>{1, 1, 2, 1, 0, 0}));
  EXPECT_EQ(integers(input.decoder.real_index_N), (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7}));
}

TEST(MakeInput, TakesRowsWithoutPaddingAndOfOneToken) {
  const ModelConfig config = testing::tiny_config();
  const ModelInput input =
      make_input(index_tensor({4}, {1, 1}), {}, index_tensor({1, 5}, {2, 1}), {}, config);
  EXPECT_EQ(integers(input.decoder_input_ids_BM), (std::vector<int64_t>{0, 0}));
  EXPECT_EQ(integers(input.labels_BM), (std::vector<int64_t>{1, 5}));
  EXPECT_FALSE(input.decoder.has_padding);
}

TEST(Model, RefusesABatchWithoutTargets) {
  const Model model(testing::tiny_config(), 1);
  const ModelInput input =
      make_input(index_tensor({4, 1}, {1, 2}), {}, index_tensor({0, 0}, {1, 2}),
                 index_tensor({0, 0}, {1, 2}), model.config());
  nn::Context context;
  expect_error(ErrorCode::InvalidArgument, "no target token", [&] { model.loss(input, context); });
}

TEST(Model, RefusesAConfigThatCannotBe) {
  ModelConfig config = testing::tiny_config();
  config.num_heads = 0;
  expect_error(ErrorCode::InvalidConfig, "num_heads", [&] { Model model(config); });
}

}  // namespace
}  // namespace flanmoe::model
