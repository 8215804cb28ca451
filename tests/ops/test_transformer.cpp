#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/random.h"
#include "check.h"
#include "ops/ref/ref.h"
#include "ops/transformer.h"

namespace flanmoe::ops {
namespace {

const at::ScalarType kDtypes[] = {at::kFloat, at::kDouble, at::kBFloat16};
const std::vector<at::IntArrayRef::value_type> kRows{1, 7, 33, 131};

Noise make_noise(int64_t count, uint64_t key = 0x1234567) {
  std::vector<int64_t> keys;
  for (int64_t i = 0; i < count; ++i)
    keys.push_back(static_cast<int64_t>(mix64(static_cast<uint64_t>(i) + 17)));
  return {.key = key, .token_keys = index_tensor(keys)};
}

// ---- norm

// Plain sums in double.
std::vector<double> multiply_rows(const at::Tensor& x, const at::Tensor& weight) {
  const std::vector<double> a = values(x), b = values(weight);
  const auto inner = static_cast<size_t>(weight.size(1)),
             columns = static_cast<size_t>(weight.size(0));
  std::vector<double> y(a.size() / inner * columns);
  for (size_t i = 0; i < y.size(); ++i)
    for (size_t k = 0; k < inner; ++k)
      y[i] += a[i / columns * inner + k] * b[i % columns * inner + k];
  return y;
}

TEST(Linear, EqualsPlainSums) {
  for (const auto dtype : kDtypes)
    for (const int64_t rows : {1, 5, 40, 131})  // libtorch's product and ours
      for (const auto& [in, out] : {std::pair<int64_t, int64_t>{1, 1}, {24, 40}, {131, 33}}) {
        const at::Tensor x = random_tensor({rows, in}, 1, dtype),
                         weight = random_tensor({out, in}, 2, dtype);
        EXPECT_EQ(compare(linear(x, weight), multiply_rows(x, weight)), "")
            << dtype << " " << rows << " " << in << " " << out;
      }
}

TEST(Linear, TakesLeadingDimsAndStridedRows) {
  const at::Tensor both = random_tensor({3, 20, 64}, 1), weight = random_tensor({17, 32}, 2),
                   half = both.narrow(2, 32, 32);
  const at::Tensor y = linear(half, weight);
  EXPECT_EQ(y.sizes(), at::IntArrayRef({3, 20, 17}));
  EXPECT_EQ(compare(y, multiply_rows(half.contiguous(), weight)), "");
}

TEST(Linear, HasTheGradientsOfFiniteDifferences) {
  for (const int64_t rows : {3, 30})
    EXPECT_EQ(check_gradients([](const Inputs& in) { return linear(in[0], in[1]); },
                              {random_tensor({rows, 6}, 1), random_tensor({5, 6}, 2)}),
              "");
}

TEST(Linear, GivesTheGradientToTheLeafInTheTypeThatItWants) {
  const at::Tensor master = random_tensor({5, 6}, 2, at::kFloat).requires_grad_(true),
                   x = random_tensor({30, 6}, 1, at::kBFloat16);
  const auto gradient = [&] {
    linear(x, {master.detach().to(at::kBFloat16), master}).sum().backward();
    const at::Tensor grad = master.grad();
    master.mutable_grad() = at::Tensor();
    return grad;
  };
  const at::Tensor wide = gradient();
  EXPECT_EQ(wide.scalar_type(), at::kFloat);
  master.set_grad_dtype(at::kBFloat16);
  const at::Tensor narrow = gradient();
  EXPECT_EQ(narrow.scalar_type(), at::kBFloat16);
  EXPECT_EQ(compare_bytes(narrow.to(at::kFloat), wide), "");
}

TEST(Linear, RefusesWhatDoesNotFit) {
  EXPECT_THROW(linear(random_tensor({2, 3}, 1), random_tensor({4, 5}, 2)), Error);
  EXPECT_THROW(linear(random_tensor({2, 3}, 1), random_tensor({4, 3}, 2, at::kFloat)), Error);
}

TEST(RmsNorm, EqualsTheLoopVersion) {
  for (const auto dtype : kDtypes)
    for (const int64_t rows : kRows)
      for (const int64_t width : {1, 5, 16, 67, 512}) {
        const at::Tensor x = random_tensor({rows, width}, 1, dtype, 3),
                         weight =
                             random_tensor({width}, 2, dtype == at::kDouble ? dtype : at::kFloat);
        EXPECT_EQ(
            compare(rms_norm(x, weight, 1e-6), ref::rms_norm(values(x), values(weight), 1e-6)), "")
            << dtype << rows << "x" << width;
      }
}

TEST(RmsNorm, TakesStridedInputAndWeightsOfTheInputsType) {
  const at::Tensor x = random_tensor({7, 3, 10}, 1, at::kBFloat16).transpose(0, 1),
                   weight = random_tensor({10}, 2, at::kBFloat16);
  const at::Tensor y = rms_norm(x, weight, 1e-6);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  EXPECT_EQ(compare(y, ref::rms_norm(values(x), values(weight), 1e-6)), "");
}

TEST(RmsNorm, HasTheGradientsOfFiniteDifferences) {
  EXPECT_EQ(check_gradients([](const Inputs& in) { return rms_norm(in[0], in[1], 1e-6); },
                            {random_tensor({3, 2, 7}, 1), random_tensor({7}, 2)}),
            "");
  EXPECT_EQ(check_gradients([](const Inputs& in) { return rms_norm(in[0], in[1], 1e-6); },
                            {random_tensor({37, 9}, 1), random_tensor({9}, 2)}),
            "");
}

TEST(RmsNorm, GivesTheGradientOfAWeightOfAnotherType) {
  const at::Tensor x = random_tensor({40, 24}, 1, at::kBFloat16),
                   weight = random_tensor({24}, 2, at::kFloat);
  auto op = [](const Inputs& in) { return rms_norm(in[0], in[1], 1e-6); };
  const Inputs narrow = compute_gradients(op, {x, weight}),
               wide = compute_gradients(op, {x.to(at::kDouble), weight.to(at::kDouble)});
  EXPECT_EQ(narrow[0].scalar_type(), at::kBFloat16);
  EXPECT_EQ(narrow[1].scalar_type(), at::kFloat);
  EXPECT_EQ(compare(values(narrow[0]), values(wide[0]), {1e-2, 1e-2}), "");
  EXPECT_EQ(compare(values(narrow[1]), values(wide[1]), {5e-2, 1e-2}),
            "");  // the gradient given is rounded to bfloat16
}

TEST(RmsNorm, RefusesAWeightOfAnotherWidth) {
  EXPECT_THROW(rms_norm(random_tensor({2, 3}, 1), random_tensor({4}, 1), 1e-6), Error);
}

// ---- activation

TEST(GatedGelu, EqualsTheLoopVersion) {
  for (const auto dtype : kDtypes)
    for (const int64_t width : {1, 15, 16, 131, 1000}) {
      const at::Tensor gate = random_tensor({5, width}, 1, dtype, 3),
                       up = random_tensor({5, width}, 2, dtype);
      EXPECT_EQ(compare(gated_gelu(gate, up), ref::gated_gelu(values(gate), values(up))), "")
          << dtype << width;
      EXPECT_EQ(compare(gelu(gate), ref::gelu(values(gate))), "");
      EXPECT_EQ(compare(relu(gate), ref::relu(values(gate))), "");
    }
}

TEST(GatedGelu, HoldsAtTheEnds) {
  const at::Tensor gate = random_tensor({1, 40}, 1, at::kFloat, 60),
                   up = random_tensor({1, 40}, 2, at::kFloat);
  EXPECT_EQ(compare(gated_gelu(gate, up), ref::gated_gelu(values(gate), values(up))), "");
  const at::Tensor huge = random_tensor({1, 40}, 1, at::kFloat, 1e18);
  EXPECT_EQ(compare(gated_gelu(huge, up), ref::gated_gelu(values(huge), values(up))), "");
}

TEST(GatedGelu, TakesHalvesOfOneProjection) {
  const at::Tensor both = random_tensor({2, 6, 38}, 1, at::kFloat);
  const at::Tensor gate = both.narrow(2, 0, 19), up = both.narrow(2, 19, 19);
  EXPECT_EQ(compare(gated_gelu(gate, up), ref::gated_gelu(values(gate), values(up))), "");
  const at::Tensor swapped = random_tensor({6, 2, 19}, 3, at::kFloat).transpose(0, 1);
  EXPECT_EQ(compare(gated_gelu(gate, swapped), ref::gated_gelu(values(gate), values(swapped))), "");
  EXPECT_EQ(
      check_gradients(
          [](const Inputs& in) { return gated_gelu(in[0].narrow(1, 0, 3), in[0].narrow(1, 3, 3)); },
          {random_tensor({4, 6}, 1)}),
      "");
}

TEST(GatedGelu, HasTheGradientsOfFiniteDifferences) {
  EXPECT_EQ(check_gradients([](const Inputs& in) { return gated_gelu(in[0], in[1]); },
                            {random_tensor({3, 11}, 1, at::kDouble, 2), random_tensor({3, 11}, 2)}),
            "");
}

// ---- noise

TEST(Dropout, EqualsTheLoopVersion) {
  for (const auto dtype : kDtypes)
    for (const int64_t width : {1, 3, 64, 130, 515})
      for (const double rate : {0.1, 0.5}) {
        const at::Tensor x = random_tensor({9, width}, 1, dtype);
        const Noise noise = make_noise(9);
        EXPECT_EQ(compare(dropout(x, rate, noise),
                          ref::dropout(values(x), rate, noise.key, indices(noise.token_keys))),
                  "")
            << dtype << width;
        EXPECT_EQ(compare(jitter(x, rate, noise),
                          ref::jitter(values(x), rate, noise.key, indices(noise.token_keys))),
                  "")
            << dtype << width;
      }
}

TEST(Dropout, AddsToAResidual) {
  for (const auto dtype : kDtypes) {
    const at::Tensor x = random_tensor({9, 130}, 1, dtype),
                     residual = random_tensor({9, 130}, 2, dtype);
    const Noise noise = make_noise(9);
    std::vector<double> want = ref::dropout(values(x), 0.3, noise.key, indices(noise.token_keys));
    for (size_t i = 0; i < want.size(); ++i) want[i] += values(residual)[i];
    EXPECT_EQ(compare(add_dropout(residual, x, 0.3, noise), want), "") << dtype;
    EXPECT_EQ(compare_bytes(add_dropout(residual, x, 0, noise), residual.add(x)), "");
  }
  EXPECT_EQ(check_gradients(
                [](const Inputs& in) { return add_dropout(in[0], in[1], 0.3, make_noise(4)); },
                {random_tensor({4, 9}, 1), random_tensor({4, 9}, 2)}),
            "");
  EXPECT_THROW(add_dropout(random_tensor({4, 9}, 1), random_tensor({4, 8}, 2), 0.3, make_noise(4)),
               Error);
}

TEST(Dropout, KeepsTheStatedShareAndTheMean) {
  const at::Tensor ones = constant_tensor({200, 500}, 1);
  for (const double rate : {0.05, 0.1, 0.5}) {
    const at::Tensor y = dropout(ones, rate, make_noise(200));
    double kept = 0, sum = 0;
    for (const double v : values(y)) {
      kept += v != 0;
      sum += v;
    }
    const double deviation = std::sqrt(rate * (1 - rate) / 1e5);
    EXPECT_NEAR(kept / 1e5, 1 - rate, 4 * deviation);
    EXPECT_NEAR(sum / 1e5, 1, 4 * deviation / (1 - rate));
  }
}

TEST(Dropout, GivesATokenItsNoiseWhateverTheRow) {
  const at::Tensor ones = constant_tensor({6, 77}, 1);
  const at::Tensor forwards =
      dropout(ones, 0.3, {.key = 5, .token_keys = index_tensor({11, 12, 13, 14, 15, 16})});
  const at::Tensor backwards =
      dropout(ones, 0.3, {.key = 5, .token_keys = index_tensor({16, 15, 14, 13, 12, 11})});
  EXPECT_EQ(compare_bytes(forwards, backwards.flip(0)), "");
  const at::Tensor batch =
      dropout(ones.view({2, 3, 77}), 0.3,
              {.key = 5, .token_keys = index_tensor({11, 12, 13, 14, 15, 16}, {2, 3})});
  EXPECT_EQ(compare_bytes(forwards, batch.view({6, 77})), "");
  const at::Tensor other =
      dropout(ones, 0.3, {.key = 6, .token_keys = index_tensor({11, 12, 13, 14, 15, 16})});
  EXPECT_NE(compare_bytes(forwards, other), "");
}

TEST(Dropout, HasTheGradientsOfFiniteDifferences) {
  EXPECT_EQ(check_gradients([](const Inputs& in) { return dropout(in[0], 0.4, make_noise(6)); },
                            {random_tensor({2, 3, 9}, 1)}),
            "");
  EXPECT_EQ(check_gradients([](const Inputs& in) { return jitter(in[0], 0.1, make_noise(6)); },
                            {random_tensor({2, 3, 9}, 1)}),
            "");
}

TEST(Dropout, ReturnsTheInputAtRateZeroAndRefusesRateOne) {
  const at::Tensor x = random_tensor({2, 3}, 1);
  EXPECT_TRUE(dropout(x, 0, make_noise(2)).is_same(x));
  EXPECT_THROW(dropout(x, 1, make_noise(2)), Error);
  EXPECT_THROW(dropout(x, 0.1, make_noise(3)), Error);
}

// ---- relative position bias

TEST(RelativePositionBucket, EqualsTheGoldenTables) {
  std::ifstream file(FLANMOE_SOURCE_DIR "/tests/golden/relative-buckets/expected.json");
  const auto golden = nlohmann::json::parse(file);
  int num_tables = 0;
  for (const auto& table : golden.at("tables")) {
    ++num_tables;
    for (size_t i = 0; i < golden.at("relative_positions").size(); ++i)
      ASSERT_EQ(
          relative_position_bucket(golden.at("relative_positions")[i], table.at("bidirectional"),
                                   table.at("num_buckets"), table.at("max_distance")),
          table.at("buckets")[i].get<int64_t>())
          << golden.at("relative_positions")[i];
  }
  EXPECT_GT(num_tables, 1);
}

TEST(RelativePositionBias, EqualsTheLoopVersion) {
  for (const bool is_bidirectional : {true, false})
    for (const int64_t offset : {0, 13})
      for (const auto dtype : {at::kFloat, at::kDouble}) {
        const at::Tensor table = random_tensor({32, 3}, 1, dtype);
        const at::Tensor bias =
            relative_position_bias(table, 37, 201, offset, is_bidirectional, 128);
        EXPECT_EQ(bias.sizes(), (at::IntArrayRef{3, 37, 201}));
        EXPECT_EQ(compare(bias, ref::relative_position_bias(values(table), 3, 37, 201, offset,
                                                            is_bidirectional, 128)),
                  "");
      }
}

TEST(RelativePositionBias, HasTheGradientsOfFiniteDifferences) {
  for (const bool is_bidirectional : {true, false})
    EXPECT_EQ(check_gradients(
                  [=](const Inputs& in) {
                    return relative_position_bias(in[0], 5, 23, 2, is_bidirectional, 16);
                  },
                  {random_tensor({8, 3}, 1)}),
              "");
}

TEST(RelativePositionBias, IsFp32ForABfloat16Table) {
  const at::Tensor table = random_tensor({32, 2}, 1, at::kBFloat16);
  const at::Tensor bias = relative_position_bias(table, 4, 4, 0, true, 128);
  EXPECT_EQ(bias.scalar_type(), at::kFloat);
  EXPECT_EQ(compute_gradients(
                [](const Inputs& in) { return relative_position_bias(in[0], 4, 4, 0, true, 128); },
                {table})[0]
                .scalar_type(),
            at::kBFloat16);
}

// ---- cross-entropy

std::vector<int64_t> make_labels(int64_t count, int64_t num_classes) {
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < count; ++i)
    labels.push_back(i % 5 == 3 ? -100 : (i * 7919) % num_classes);
  return labels;
}

constexpr CrossEntropyRule kRules[] = {{0, 0}, {1e-2, 0}, {0, 0.1}, {1e-2, 0.3}};

TEST(CrossEntropy, EqualsTheLoopVersion) {
  for (const auto dtype : kDtypes)
    for (const int64_t width : {1, 3, 64, 131, 1537})
      for (const auto& [z, smoothing] : kRules) {
        const at::Tensor logits = random_tensor({11, width}, 1, dtype, 4);
        const auto labels = make_labels(11, width);
        const at::Tensor loss = cross_entropy(logits, index_tensor(labels), {z, smoothing});
        EXPECT_EQ(loss.scalar_type(), dtype == at::kDouble ? at::kDouble : at::kFloat);
        EXPECT_EQ(compare(loss, ref::cross_entropy(values(logits), labels, {z, smoothing})), "")
            << dtype << width;
        EXPECT_EQ(compare(label_log_probability(logits, index_tensor(labels)),
                          ref::label_log_probability(values(logits), labels)),
                  "");
      }
}

TEST(CrossEntropy, HasTheGradientsOfFiniteDifferences) {
  for (const CrossEntropyRule& rule : kRules)
    EXPECT_EQ(check_gradients(
                  [=](const Inputs& in) {
                    return cross_entropy(in[0], index_tensor(make_labels(7, 19)), rule);
                  },
                  {random_tensor({7, 19}, 1)}),
              "");
}

TEST(CrossEntropy, WritesGradientsInTheTypeOfTheLogits) {
  const at::Tensor logits = random_tensor({7, 131}, 1, at::kBFloat16, 4);
  auto op = [](const Inputs& in) {
    return cross_entropy(in[0], index_tensor(make_labels(7, 131)));
  };
  const Inputs narrow = compute_gradients(op, {logits}),
               wide = compute_gradients(op, {logits.to(at::kDouble)});
  EXPECT_EQ(narrow[0].scalar_type(), at::kBFloat16);
  EXPECT_EQ(compare(narrow[0], values(wide[0])), "");
}

TEST(CrossEntropy, HoldsForHugeLogits) {
  const at::Tensor logits = random_tensor({5, 40}, 1, at::kFloat, 1e4);
  const auto labels = make_labels(5, 40);
  EXPECT_EQ(compare(cross_entropy(logits, index_tensor(labels)),
                    ref::cross_entropy(values(logits), labels, {})),
            "");
}

TEST(CrossEntropy, RefusesALabelOutsideTheVocabulary) {
  EXPECT_THROW(cross_entropy(random_tensor({2, 3}, 1), index_tensor({0, 3})), Error);
  EXPECT_THROW(cross_entropy(random_tensor({2, 3}, 1), index_tensor({0})), Error);
}

// ---- linear cross-entropy

TEST(LinearCrossEntropy, EqualsCrossEntropyOfAllLogits) {
  for (const auto dtype : kDtypes)
    for (const CrossEntropyRule& rule : kRules) {
      const at::Tensor labels = index_tensor(make_labels(13, 37)),
                       token_weight =
                           random_tensor({13}, 3, dtype == at::kDouble ? dtype : at::kFloat);
      const Inputs in{random_tensor({13, 24}, 1, dtype), random_tensor({37, 24}, 2, dtype)};
      const auto fused = [&](const Inputs& x) {
        return linear_cross_entropy(x[0], x[1], labels, token_weight, rule).sum;
      };
      const auto plain = [&](const Inputs& x) {
        const at::Tensor logits = linear(x[0], x[1]);
        return cross_entropy(logits, labels, rule).mul(token_weight).sum();
      };
      EXPECT_EQ(compare(fused(in), values(plain(in))), "");
      const Inputs fused_grads = compute_gradients(fused, in), grads = compute_gradients(plain, in);
      // in bf16 the gradients are rounded before they are multiplied by the loss's own
      const Tolerance allowed = dtype == at::kBFloat16 ? Tolerance{0.02, 0.02} : tolerance(dtype);
      for (size_t i = 0; i < 2; ++i) {
        EXPECT_EQ(fused_grads[i].scalar_type(), dtype);
        EXPECT_EQ(compare(values(fused_grads[i]), values(grads[i]), allowed), "") << dtype << i;
      }
    }
}

TEST(LinearCrossEntropy, HasTheGradientsOfFiniteDifferences) {
  for (const CrossEntropyRule& rule : kRules)
    EXPECT_EQ(check_gradients(
                  [=](const Inputs& in) {
                    return linear_cross_entropy(in[0], in[1], index_tensor(make_labels(7, 19)),
                                                random_tensor({7}, 5, at::kDouble), rule)
                        .sum;
                  },
                  {random_tensor({7, 12}, 1), random_tensor({19, 12}, 2)}),
              "");
}

// So wide a vocabulary that several chunks are needed.
TEST(LinearCrossEntropy, SumsTheChunks) {
  const int64_t vocabulary = 70000, num_tokens = 300;
  const at::Tensor labels = index_tensor(make_labels(num_tokens, vocabulary)),
                   token_weight = random_tensor({num_tokens}, 3, at::kFloat);
  const Inputs in{random_tensor({num_tokens, 8}, 1, at::kFloat),
                  random_tensor({vocabulary, 8}, 2, at::kFloat)};
  const auto fused = [&](const Inputs& x) {
    return linear_cross_entropy(x[0], x[1], labels, token_weight).sum;
  };
  const auto plain = [&](const Inputs& x) {
    return cross_entropy(linear(x[0], x[1]), labels).mul(token_weight).sum();
  };
  EXPECT_EQ(compare(fused(in), values(plain(in))), "");
  const Inputs fused_grads = compute_gradients(fused, in), grads = compute_gradients(plain, in);
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(compare(fused_grads[i], values(grads[i])), "") << i;
}

// ---- all

TEST(TransformerOps, GiveTheSameBytesWithOneAndTwoThreads) {
  for (const auto dtype : kDtypes) {
    const at::Tensor x = random_tensor({301, 131}, 1, dtype), weight = random_tensor({131}, 2),
                     up = random_tensor({301, 131}, 3, dtype);
    auto op = [](const Inputs& in) {
      const at::Tensor normed = rms_norm(in[0], in[1], 1e-6);
      return cross_entropy(dropout(gated_gelu(normed, in[2]), 0.1, make_noise(301)),
                           index_tensor(make_labels(301, 131)), {1e-4});
    };
    EXPECT_EQ(compare_threads([&] {
                Inputs all = compute_gradients(op, {x, weight, up});
                all.push_back(op({x, weight, up}));
                return all;
              }),
              "");
    const at::Tensor table = random_tensor({32, 7}, 4);
    EXPECT_EQ(
        compare_threads([&] {
          return compute_gradients(
              [](const Inputs& in) { return relative_position_bias(in[0], 97, 131, 0, true, 128); },
              {table});
        }),
        "");
  }
}

TEST(TransformerOps, TakeEmptyInput) {
  EXPECT_EQ(rms_norm(random_tensor({0, 8}, 1), random_tensor({8}, 1), 1e-6).numel(), 0);
  EXPECT_EQ(gated_gelu(random_tensor({0, 8}, 1), random_tensor({0, 8}, 1)).numel(), 0);
  EXPECT_EQ(cross_entropy(random_tensor({0, 8}, 1), index_tensor({})).numel(), 0);
  EXPECT_EQ(dropout(random_tensor({0, 8}, 1), 0.1, make_noise(0)).numel(), 0);
}

TEST(TransformerOps, RefuseASecondDerivative) {
  const at::Tensor x = random_tensor({2, 3}, 1).set_requires_grad(true);
  const at::Tensor y = rms_norm(x, random_tensor({3}, 2), 1e-6).sum();
  EXPECT_ANY_THROW(y.backward({}, std::nullopt, /*create_graph=*/true));
}

}  // namespace
}  // namespace flanmoe::ops
