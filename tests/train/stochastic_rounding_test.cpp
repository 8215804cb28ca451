#include "train/stochastic_rounding.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <bit>
#include <cmath>
#include <limits>
#include <set>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/progress.h"
#include "support/temporary_folder.h"
#include "train/every_optimizer.h"
#include "train/optimizers/trained_parameter.h"
#include "train/tiny.h"

namespace flanmoe::train {
namespace {

double widen(uint16_t value) {
  return static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(value) << 16));
}

std::vector<uint16_t> round_copies(float value, int64_t size, uint64_t seed = 1,
                                   uint64_t first_element = 0) {
  const std::vector<float> values(static_cast<size_t>(size), value);
  std::vector<uint16_t> rounded(values.size());
  kernels::round_stochastically(values.data(), rounded.data(), size,
                                RandomKey(seed, RandomPurpose::StochasticRounding), first_element);
  return rounded;
}

TEST(StochasticRounding, GoesToTheNeighboursSoThatTheMeanIsExact) {
  constexpr int64_t kCount = 1 << 18;
  for (const float value : {1.0f + 0.1f / 128, -3.14159f, 1e-3f, 1.7e30f, -2e-38f}) {
    std::set<uint16_t> found;
    double mean = 0;
    for (const uint16_t rounded : round_copies(value, kCount)) {
      found.insert(rounded);
      mean += widen(rounded) / static_cast<double>(kCount);
    }
    ASSERT_EQ(found.size(), 2u) << value;
    const double a = widen(*found.begin()), b = widen(*found.rbegin()), gap = std::abs(a - b);
    EXPECT_EQ(*found.rbegin() - *found.begin(), 1) << value;
    // five standard deviations of the mean, at most
    EXPECT_NEAR(mean, static_cast<double>(value), 2.5 * gap / std::sqrt(kCount)) << value;
  }
}

TEST(StochasticRounding, KeepsWhatBfloat16HasAndWhatIsNotFinite) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float value : {0.0f, -0.0f, 1.5f, -96.0f, infinity, -infinity})
    for (const uint16_t rounded : round_copies(value, 1000))
      ASSERT_EQ(rounded, std::bit_cast<uint32_t>(value) >> 16) << value;
  for (const uint32_t bits : {0x7FC00000u, 0x7F800001u, 0xFFFFFFFFu})
    for (const uint16_t rounded : round_copies(std::bit_cast<float>(bits), 1000))
      ASSERT_TRUE(std::isnan(widen(rounded))) << bits;
}

TEST(StochasticRounding, NoiseHangsOnSeedAndElementOnly) {
  const float value = 1.0f + 0.5f / 128;
  const std::vector<uint16_t> whole = round_copies(value, 9001);
  EXPECT_NE(whole, round_copies(value, 9001, 2));
  for (const int64_t begin : {0, 1, 2, 3, 4, 2047, 4098, 8999}) {
    const int64_t count = std::min<int64_t>(9001 - begin, 4099);
    const std::vector<uint16_t> part = round_copies(value, count, 1, static_cast<uint64_t>(begin));
    EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + begin)) << begin;
  }
}

nn::Parameter make_bfloat16(const std::string& name, at::IntArrayRef sizes, double value,
                            int expert_axis = -1) {
  nn::ParameterTags tags;
  tags.expert_axis = expert_axis;
  return {name, at::full(sizes, value, at::kBFloat16).requires_grad_(true), tags};
}

class EveryOptimizerInBfloat16 : public ::testing::TestWithParam<OptimizerAndPath> {
 protected:
  OptimizerConfig config() const {
    OptimizerConfig config;
    config.name = std::get<0>(GetParam());
    config.scales_by_parameter = false;
    config.min_factored_dim = 64;
    return config;
  }
  std::unique_ptr<Optimizer> make(const nn::Parameters& parameters, uint64_t seed = 0) const {
    return make_optimizer(parameters, config(), {seed, std::get<1>(GetParam())});
  }
};

// Neighbours of 1 are 2^-8 below and 2^-7 above; a step of 2^-12 is a sixteenth of the one below.
TEST_P(EveryOptimizerInBfloat16, ASmallUpdateMovesTheParameterOnAverage) {
  constexpr double kStep = 0x1.0p-12;
  nn::Parameters parameters{make_bfloat16("matrix", {256, 300}, 1.0),
                            make_bfloat16("vector", {70001}, 1.0),
                            make_bfloat16("experts", {3, 70, 90}, 1.0, 0)};
  const auto optimizer = make(parameters, 7);
  constexpr int64_t kSteps = 32;
  for (int64_t step = 1; step <= kSteps; ++step) {
    for (nn::Parameter& parameter : parameters)
      parameter.tensor.mutable_grad() = at::full_like(parameter.tensor.detach(), 1.0);
    optimizer->step(step, kStep, 1.0);
  }
  for (const nn::Parameter& parameter : parameters) {
    const at::Tensor values = parameter.tensor.detach().to(at::kDouble);
    EXPECT_EQ(parameter.tensor.scalar_type(), at::kBFloat16);
    EXPECT_NEAR(values.mean().item<double>(), 1.0 - kSteps * kStep,
                5 * 0x1.0p-8 / std::sqrt(values.numel()))
        << parameter.name;
    EXPECT_GT(values.std().item<double>(), 0.0) << parameter.name;
  }
}

TEST_P(EveryOptimizerInBfloat16, RoundsWhatFloat32Gives) {
  nn::Parameters half{make_bfloat16("matrix", {128, 200}, 0.0), make_bfloat16("vector", {5003}, 0)},
      full = half;
  for (size_t i = 0; i < half.size(); ++i) {
    half[i].tensor.detach().normal_();
    full[i].tensor = half[i].tensor.detach().to(at::kFloat).requires_grad_(true);
    const at::Tensor gradient = at::zeros_like(half[i].tensor.detach()).normal_();
    half[i].tensor.mutable_grad() = gradient;
    full[i].tensor.mutable_grad() = gradient.to(at::kFloat);
  }
  const auto in_half = make(half), in_full = make(full);
  in_half->step(1, 0.03, 0.5);
  in_full->step(1, 0.03, 0.5);
  for (size_t i = 0; i < half.size(); ++i) {
    const at::Tensor want = full[i].tensor.detach();
    const at::Tensor distance = half[i].tensor.detach().to(at::kFloat).sub(want).abs();
    // less than a unit in the last of eight bits
    EXPECT_TRUE(distance.le(want.abs().mul(0x1.0p-7).add(1e-6)).all().item<bool>()) << half[i].name;
  }
  const checkpoint::NamedTensors states = in_half->state();
  for (const auto& [name, tensor] : states) EXPECT_EQ(tensor.scalar_type(), at::kFloat) << name;
}

TEST_P(EveryOptimizerInBfloat16, GivesTheSameBytesForAnyNumberOfThreads) {
  const auto run = [&](int num_threads, uint64_t seed) {
    const int before = omp_get_max_threads();
    omp_set_num_threads(num_threads);
    nn::Parameters parameters{make_bfloat16("matrix", {1300, 1100}, 1.0),
                              make_bfloat16("experts", {5, 130, 140}, 1.0, 0)};
    const auto optimizer = make(parameters, seed);
    for (int64_t step = 1; step <= 2; ++step) {
      for (nn::Parameter& parameter : parameters)
        parameter.tensor.mutable_grad() = parameter.tensor.detach().clone();
      optimizer->step(step, 0.001, 1.0);
    }
    omp_set_num_threads(before);
    return parameters;
  };
  const nn::Parameters one = run(1, 3), many = run(5, 3), other = run(1, 4);
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_TRUE(at::equal(one[i].tensor, many[i].tensor)) << one[i].name;
    EXPECT_FALSE(at::equal(one[i].tensor, other[i].tensor)) << one[i].name;
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryOptimizerInBfloat16, every_optimizer(),
                         [](const auto& instance) { return name_of(instance); });

class StochasticRoundingTrainer : public ::testing::Test {
 protected:
  void SetUp() override { disable_progress(); }
  void TearDown() override { set_interrupted(false); }

  static Config bfloat16_config() {
    Config config = tiny_config();
    config.precision = Precision::BFloat16;
    config.has_stochastic_rounding = true;
    config.batch.bucket_batches = 1;
    return config;
  }
  static model::LoadedModel make_model(at::ScalarType dtype, bool is_sparse = true) {
    model::LoadedModel loaded;
    loaded.model = std::make_unique<model::Model>(tiny_model_config(is_sparse), 5, dtype);
    return loaded;
  }
  static std::string weights(const std::string& out) {
    return read_file(out + "/model/model.safetensors");
  }

  TemporaryFolder folder_;
};

TEST_F(StochasticRoundingTrainer, ResumesToTheSameBytes) {
  for (const char* optimizer : {"adafactor", "adamw", "sgd"}) {
    Config config = bfloat16_config();
    config.optimizer.name = optimizer;
    const std::string whole = folder_ / (std::string("whole-") + optimizer);
    model::LoadedModel straight = make_model(at::kBFloat16);
    train(straight, config, tiny_job(whole));
    for (const int64_t stop : {1, 6, 11}) {
      const std::string out = folder_ / fmt::format("{}-{}", optimizer, stop);
      model::LoadedModel stopped = make_model(at::kBFloat16), resumed = make_model(at::kBFloat16);
      Job job = tiny_job(out);
      job.after_step = [=](int64_t step) {
        if (step == stop) set_interrupted(true);
      };
      EXPECT_THROW(train(stopped, config, job), Error);
      set_interrupted(false);
      train(resumed, config, tiny_job(out, true));
      EXPECT_EQ(weights(out), weights(whole)) << optimizer << " " << stop;
    }
    // what is written is what was trained, and is half as large
    const auto saved = model::load_model(whole + "/model", at::kBFloat16);
    for (size_t i = 0; i < saved.model->parameters().size(); ++i) {
      const nn::Parameter& parameter = straight.model->parameters()[i];
      EXPECT_TRUE(at::equal(saved.model->parameters()[i].tensor, parameter.tensor))
          << parameter.name;
      const nn::ParameterTags& tags = parameter.tags;
      EXPECT_EQ(
          parameter.tensor.scalar_type(),
          tags.is_norm || tags.is_router || tags.is_relative_bias ? at::kFloat : at::kBFloat16)
          << parameter.name;
    }
    EXPECT_EQ(load_json(whole + "/model/config.json").at("torch_dtype"), "bfloat16");
  }
}

// Rounds to the nearest after every step, which is what bfloat16 parameters without noise would do.
void round_to_nearest(const model::Model& model) {
  for (const nn::Parameter& parameter : model.parameters()) {
    const nn::ParameterTags& tags = parameter.tags;
    if (tags.is_norm || tags.is_router || tags.is_relative_bias) continue;
    const at::Tensor values = parameter.tensor.detach();
    values.copy_(values.to(at::kBFloat16));
  }
}

// The trained matrices hold values around 2, whose neighbours are 2^-7 away: steps of 0.002 are
// less than half of that.
TEST_F(StochasticRoundingTrainer, LearnsAsFloat32DoesWhereRoundingToTheNearestStalls) {
  Config config = bfloat16_config();
  config.steps = 60;
  config.warmup_steps = 0;
  config.log_every = 20;
  config.optimizer.name = "adamw";
  config.learning_rate = 2e-3;
  config.trainable = {"embedding"};
  enum class Way { Unchanged, Masters, Stochastic, Nearest };
  const auto final_loss = [&](Way way, const char* name) {
    Config chosen = config;
    chosen.has_stochastic_rounding = way == Way::Stochastic;
    if (way == Way::Unchanged) chosen.learning_rate = 0;
    model::LoadedModel loaded = make_model(find_parameter_dtype(chosen), false);
    for (const nn::Parameter& parameter : loaded.model->parameters())
      if (parameter.tags.is_embedding) parameter.tensor.detach().mul_(8.0);
    Job job = tiny_job(folder_ / name);
    if (way == Way::Nearest) job.after_step = [&](int64_t) { round_to_nearest(*loaded.model); };
    return train(loaded, chosen, job).final_loss;
  };
  const double unchanged = final_loss(Way::Unchanged, "unchanged"),
               masters = unchanged - final_loss(Way::Masters, "masters"),
               stochastic = unchanged - final_loss(Way::Stochastic, "stochastic"),
               nearest = unchanged - final_loss(Way::Nearest, "nearest");
  EXPECT_GT(masters, 0.2);
  EXPECT_NEAR(stochastic / masters, 1.0, 0.15) << stochastic << " " << masters;
  EXPECT_LT(nearest / masters, 0.4) << nearest << " " << masters;
}

TEST_F(StochasticRoundingTrainer, RefusesWhatDoesNotFit) {
  const auto message = [&](const Config& config, at::ScalarType dtype) {
    model::LoadedModel loaded = make_model(dtype);
    try {
      train(loaded, config, tiny_job(folder_ / "out"));
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("fine");
  };
  Config config = bfloat16_config();
  EXPECT_NE(message(config, at::kFloat).find("expected BFloat16 with has_stochastic_rounding"),
            std::string::npos);
  config.precision = Precision::Float32;
  EXPECT_NE(message(config, at::kBFloat16)
                .find("[train.has_stochastic_rounding] is true with train.precision = 'float32', "
                      "expected 'bfloat16'"),
            std::string::npos);
  config.has_stochastic_rounding = false;
  EXPECT_NE(message(config, at::kBFloat16).find("expected Float"), std::string::npos);
  EXPECT_FALSE(is_folder(folder_ / "out"));
}

}  // namespace
}  // namespace flanmoe::train
