#include "train/optimizers/optimizer.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <numeric>

#include "base/json.h"
#include "base/random.h"
#include "train/every_optimizer.h"
#include "train/optimizers/kernels.h"
#include "train/optimizers/tensor_updates.h"
#include "train/optimizers/trained_parameter.h"
#include "train/schedule.h"

namespace flanmoe::train {
namespace {

constexpr const char* kGolden =
    FLANMOE_SOURCE_DIR "/tests/golden/optim/";  // tests/golden/README.md says what made it

at::Tensor random_tensor(const std::vector<int64_t>& sizes, uint64_t seed, double scale = 1.0) {
  at::Tensor tensor = at::zeros(sizes, at::kFloat);
  const RandomKey key(seed, RandomPurpose::Generator);
  float* values = tensor.data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i)
    values[i] = static_cast<float>(scale * key.normal(static_cast<uint64_t>(i)));
  return tensor;
}

nn::Parameter make_parameter(const std::string& name, const at::Tensor& values,
                             int expert_axis = -1) {
  nn::ParameterTags tags;
  tags.expert_axis = expert_axis;
  return {name, values.detach().clone().requires_grad_(true), tags};
}

void set_gradient(nn::Parameter& parameter, const at::Tensor& gradient) {
  parameter.tensor.mutable_grad() = gradient.clone();
}

void expect_close(const at::Tensor& got, const at::Tensor& want, double atol, double rtol,
                  const std::string& what) {
  ASSERT_EQ(got.sizes(), want.sizes()) << what;
  const at::Tensor a = got.detach().to(at::kDouble).contiguous(),
                   b = want.to(at::kDouble).contiguous();
  const double *x = a.const_data_ptr<double>(), *y = b.const_data_ptr<double>();
  for (int64_t i = 0; i < a.numel(); ++i)
    ASSERT_LE(std::abs(x[i] - y[i]), atol + rtol * std::abs(y[i]))
        << what << " [" << i << "] " << x[i] << " " << y[i];
}

OptimizerConfig golden_config(const Json& variant) {
  OptimizerConfig config;
  config.name = variant.at("optimizer");
  config.weight_decay = variant.at("weight_decay");
  config.decays_norms = true;
  if (config.name == "adafactor") {
    config.preset = AdafactorPreset::HuggingFace;
    config.apply_preset();
    config.scales_by_parameter = variant.at("scale_parameter");
    if (!variant.at("beta1").is_null()) config.beta1 = variant.at("beta1");
  }
  return config;
}

// A variant's rate, or the schedule that stands for HF's relative_step and warmup_init.
Config golden_schedule(const Json& variant) {
  Config config;
  if (!variant.at("lr").is_null()) {
    config.learning_rate = variant.at("lr");
    return config;
  }
  EXPECT_TRUE(variant.at("relative_step"));
  config.schedule = ScheduleKind::RelativeStep;
  config.learning_rate = 1e-2;
  if (variant.at("warmup_init")) config.warmup_steps = 10000;
  return config;
}

class EveryPath : public ::testing::TestWithParam<UpdatePath> {};
INSTANTIATE_TEST_SUITE_P(Both, EveryPath, every_path(),
                         [](const auto& instance) { return name_of(instance.param); });

TEST_P(EveryPath, MatchesHuggingFaceAdafactorAndTorchAdamW) {
  const Json expected = load_json(std::string(kGolden) + "expected.json");
  const checkpoint::NamedTensors golden =
      checkpoint::load_safetensors(std::string(kGolden) + "expected.safetensors");
  const double atol = expected.at("tolerance").at("atol"),
               rtol = expected.at("tolerance").at("rtol");
  for (const auto& [name, variant] : expected.at("variants").items()) {
    nn::Parameters parameters;
    for (const char* p : {"matrix", "vector", "experts", "zero_vector"})
      parameters.push_back(make_parameter(p, golden.at(std::string("init.") + p),
                                          std::string(p) == "experts" ? 0 : -1));
    const auto optimizer = make_optimizer(parameters, golden_config(variant), {.path = GetParam()});
    const Config schedule = golden_schedule(variant);
    for (int64_t step = 1; step <= expected.at("steps"); ++step) {
      for (auto& parameter : parameters)
        set_gradient(parameter, golden.at("grad." + std::to_string(step) + "." + parameter.name));
      optimizer->step(step, learning_rate_at({.step = step}, schedule), 1.0);
      for (auto& parameter : parameters) {
        const std::string key = name + ".step" + std::to_string(step) + "." + parameter.name;
        expect_close(parameter.tensor, golden.at(key), atol, rtol, key);
      }
    }
    const bool is_adafactor = variant.at("optimizer") == "adafactor";
    for (const auto& [ours, theirs] : {std::pair{"row", "exp_avg_sq_row"},
                                       {"column", "exp_avg_sq_col"},
                                       {"first_moment", "exp_avg"},
                                       {"second_moment", "exp_avg_sq"}})
      for (const auto& [key, tensor] : optimizer->state()) {
        if (!key.ends_with(std::string(".") + ours)) continue;
        const std::string parameter = key.substr(0, key.rfind('.'));
        // a first moment of steps is as exact as the parameters
        const bool is_of_steps = is_adafactor && std::string(ours) == "first_moment";
        expect_close(tensor, golden.at(name + ".state_after_step5." + parameter + "." + theirs),
                     is_of_steps ? atol : 1e-9, is_of_steps ? rtol : 1e-5, name + " " + key);
      }
  }
  EXPECT_EQ(expected.at("variants").size(), 8u);
}

// Adafactor as facts.md items 129 to 133 say it, in double, one matrix after the other; T5X's rules
// for what is factored.
class NaiveAdafactor {
 public:
  NaiveAdafactor(const at::Tensor& values, int64_t num_groups, const OptimizerConfig& config)
      : config_(config), num_groups_(num_groups) {
    sizes_ = values.sizes().vec();
    if (num_groups > 1) sizes_.erase(sizes_.begin());
    for (int64_t i = 0; i < values.numel(); ++i)
      values_.push_back(static_cast<double>(values.const_data_ptr<float>()[i]));
    row_.resize(values_.size());
    column_.resize(values_.size());
    full_.resize(values_.size());
  }

  void step(const at::Tensor& gradient, int64_t t, double learning_rate) {
    const double beta2 = 1.0 - std::pow(static_cast<double>(t), -config_.decay_rate);
    const int64_t size = static_cast<int64_t>(values_.size()) / num_groups_;
    for (int64_t group = 0; group < num_groups_; ++group) {
      std::vector<double> g;
      for (int64_t i = 0; i < size; ++i)
        g.push_back(static_cast<double>(gradient.const_data_ptr<float>()[group * size + i]));
      const std::vector<double> u = make_update(g, group * size, beta2);
      double value_squares = 0, update_squares = 0;
      for (int64_t i = 0; i < size; ++i) {
        value_squares +=
            std::pow(values_[static_cast<size_t>(group * size + i)], 2) / static_cast<double>(size);
        update_squares += std::pow(u[static_cast<size_t>(i)], 2) / static_cast<double>(size);
      }
      const double rate =
          learning_rate * (config_.scales_by_parameter
                               ? std::max(config_.min_parameter_scale, std::sqrt(value_squares))
                               : 1.0);
      const double clip = std::max(1.0, std::sqrt(update_squares) / config_.clipping_threshold);
      for (int64_t i = 0; i < size; ++i) {
        double& value = values_[static_cast<size_t>(group * size + i)];
        value -= config_.weight_decay * rate * value;
        value -= rate * u[static_cast<size_t>(i)] / clip;
      }
    }
  }
  const std::vector<double>& values() const { return values_; }

 private:
  std::vector<double> make_update(const std::vector<double>& g, int64_t offset, double beta2) {
    std::vector<double> u(g.size());
    const bool is_factored =
        sizes_.size() == 2 && std::min(sizes_[0], sizes_[1]) >= config_.min_factored_dim;
    if (!is_factored) {
      for (size_t i = 0; i < g.size(); ++i) {
        double& v = full_[static_cast<size_t>(offset) + i];
        v = beta2 * v + (1 - beta2) * (g[i] * g[i] + 1e-30);
        u[i] = g[i] / std::sqrt(v);
      }
      return u;
    }
    const auto num_rows = static_cast<size_t>(sizes_[0]),
               num_columns = static_cast<size_t>(sizes_[1]);
    double *r = &row_[static_cast<size_t>(offset)], *c = &column_[static_cast<size_t>(offset)];
    for (size_t i = 0; i < num_rows; ++i) {
      double mean = 0;
      for (size_t j = 0; j < num_columns; ++j)
        mean += (std::pow(g[i * num_columns + j], 2) + 1e-30) / static_cast<double>(num_columns);
      r[i] = beta2 * r[i] + (1 - beta2) * mean;
    }
    for (size_t j = 0; j < num_columns; ++j) {
      double mean = 0;
      for (size_t i = 0; i < num_rows; ++i)
        mean += (std::pow(g[i * num_columns + j], 2) + 1e-30) / static_cast<double>(num_rows);
      c[j] = beta2 * c[j] + (1 - beta2) * mean;
    }
    const double row_mean = std::accumulate(r, r + num_rows, 0.0) / static_cast<double>(num_rows);
    for (size_t i = 0; i < num_rows; ++i)
      for (size_t j = 0; j < num_columns; ++j)
        u[i * num_columns + j] =
            g[i * num_columns + j] / std::sqrt(r[i] / row_mean) / std::sqrt(c[j]);
    return u;
  }

  OptimizerConfig config_;
  int64_t num_groups_;
  std::vector<int64_t> sizes_;
  std::vector<double> values_, row_, column_, full_;
};

struct ShapeCase {
  std::vector<int64_t> sizes;
  int expert_axis;
  int64_t min_factored_dim;
};

TEST_P(EveryPath, AdafactorMatchesNaiveLoopsInDouble) {
  const std::vector<ShapeCase> cases = {
      {{1}, -1, 128},          {{513}, -1, 128},    {{40000}, -1, 128},    {{127, 300}, -1, 128},
      {{128, 130}, -1, 128},   {{33, 2051}, -1, 8}, {{301, 129}, -1, 128}, {{5, 37, 41}, 0, 16},
      {{3, 130, 131}, 0, 128}, {{6, 17}, 0, 4},     {{2, 1025, 33}, 0, 8}, {{4, 300, 12}, 0, 128}};
  for (const ShapeCase& shape : cases) {
    OptimizerConfig config;
    config.min_factored_dim = shape.min_factored_dim;
    config.weight_decay = 0.02;
    config.decays_norms = true;
    const at::Tensor init = random_tensor(shape.sizes, 3, 0.2);
    nn::Parameters parameters{make_parameter("w", init, shape.expert_axis)};
    NaiveAdafactor naive(init, shape.expert_axis == 0 ? shape.sizes[0] : 1, config);
    const auto optimizer = make_optimizer(parameters, config, {.path = GetParam()});
    for (int64_t step = 1; step <= 4; ++step) {
      const at::Tensor gradient =
          random_tensor(shape.sizes, 10 + static_cast<uint64_t>(step), step == 2 ? 30.0 : 0.01);
      set_gradient(parameters[0], gradient);
      optimizer->step(step, 0.05, 1.0);
      naive.step(gradient, step, 0.05);
    }
    const at::Tensor got = parameters[0].tensor.detach();
    for (int64_t i = 0; i < got.numel(); ++i) {
      const double want = naive.values()[static_cast<size_t>(i)];
      ASSERT_NEAR(got.const_data_ptr<float>()[i], want, 2e-6 + 2e-5 * std::abs(want))
          << got.sizes() << " element " << i;
    }
  }
}

TEST(Adafactor, FactorsByTheTwoLargestDims) {
  OptimizerConfig config;
  const auto shapes_of = [&](const std::vector<int64_t>& sizes, int expert_axis) {
    nn::Parameters parameters{make_parameter("w", at::zeros(sizes), expert_axis)};
    std::string text;
    for (const auto& [name, tensor] : make_optimizer(parameters, config)->state()) {
      text += name.substr(2);
      for (int64_t size : tensor.sizes()) text += " " + std::to_string(size);
      text += ";";
    }
    return text;
  };
  EXPECT_EQ(shapes_of({200, 300}, -1), "column 300;row 200;");
  EXPECT_EQ(shapes_of({127, 300}, -1), "second_moment 127 300;");
  EXPECT_EQ(shapes_of({4, 200, 300}, 0), "column 4 300;row 4 200;");
  EXPECT_EQ(shapes_of({200, 300}, 0), "second_moment 200 300;");       // experts of vectors
  EXPECT_EQ(shapes_of({200, 4, 300}, -1), "column 4 300;row 4 200;");  // the small dim is a batch
  config.is_per_expert = false;
  EXPECT_EQ(shapes_of({400, 200, 300}, 0),
            "column 400 300;row 400 200;");  // still no mean over experts
  config.min_factored_dim = 0;
  EXPECT_EQ(shapes_of({4, 3}, -1), "column 3;row 4;");
  EXPECT_EQ(shapes_of({2, 4, 3}, 0), "column 2 3;row 2 4;");
}

// An expert of a stack is updated as it would be alone, wherever its axis is.
TEST(Adafactor, TreatsEveryExpertByItself) {
  OptimizerConfig config;
  config.min_factored_dim = 4;
  const at::Tensor init = random_tensor({3, 20, 30}, 1), gradient = random_tensor({3, 20, 30}, 2);
  nn::Parameters stacked{make_parameter("w", init, 0)},
      last{{"w", init.permute({1, 2, 0}).contiguous().requires_grad_(true), {}}}, alone;
  last[0].tags.expert_axis = 2;
  set_gradient(stacked[0], gradient);
  last[0].tensor.mutable_grad() = gradient.permute({1, 2, 0}).clone();
  for (int64_t e = 0; e < 3; ++e) {
    alone.push_back(make_parameter("w" + std::to_string(e), init.select(0, e).contiguous()));
    set_gradient(alone.back(), gradient.select(0, e));
  }
  for (nn::Parameters* parameters : {&stacked, &last, &alone})
    make_optimizer(*parameters, config)->step(1, 0.1, 1.0);
  for (int64_t e = 0; e < 3; ++e) {
    EXPECT_TRUE(at::equal(stacked[0].tensor.detach().select(0, e),
                          alone[static_cast<size_t>(e)].tensor.detach()));
    EXPECT_TRUE(at::equal(last[0].tensor.detach().select(2, e),
                          alone[static_cast<size_t>(e)].tensor.detach()));
  }
}

// The sums of squares that an update leaves for the next one are those of the values it left: a
// fresh optimizer, which computes them anew, goes on with the same bytes.
TEST(Adafactor, SeesValuesThatWereChangedBetweenUpdates) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const double factor : {1.0, 3.0}) {
      const OptimizerConfig config;
      const at::Tensor init = random_tensor({300, 1100}, 1).to(type);
      nn::Parameters kept{make_parameter("w", init)}, fresh{make_parameter("w", init)};
      const auto first = make_optimizer(kept, config);
      auto second = make_optimizer(fresh, config);
      for (int64_t step = 1; step <= 3; ++step) {
        for (nn::Parameters* parameters : {&kept, &fresh}) {
          if (factor != 1.0) (*parameters)[0].tensor.detach().mul_(factor);
          set_gradient((*parameters)[0],
                       random_tensor({300, 1100}, 10 + static_cast<uint64_t>(step)));
        }
        first->step(step, 0.01, 1.0);
        const checkpoint::NamedTensors state = second->state();
        second = make_optimizer(fresh, config);
        second->load_state(state);
        second->step(step, 0.01, 1.0);
        EXPECT_TRUE(at::equal(kept[0].tensor, fresh[0].tensor)) << step << " " << factor;
      }
    }
  }
}

TEST_P(EveryPath, AdamWMatchesNaiveLoopInDouble) {
  OptimizerConfig config;
  config.name = "adamw";
  config.weight_decay = 0.1;
  config.decays_norms = true;
  const int64_t size = 70001;
  nn::Parameters parameters{make_parameter("w", random_tensor({size}, 1))};
  std::vector<double> w, m(static_cast<size_t>(size)), v(static_cast<size_t>(size));
  for (int64_t i = 0; i < size; ++i)
    w.push_back(static_cast<double>(parameters[0].tensor.const_data_ptr<float>()[i]));
  const auto optimizer = make_optimizer(parameters, config, {.path = GetParam()});
  for (int64_t step = 1; step <= 3; ++step) {
    const at::Tensor gradient = random_tensor({size}, 20 + static_cast<uint64_t>(step));
    set_gradient(parameters[0], gradient);
    optimizer->step(step, 0.01, 0.5);
    for (size_t i = 0; i < w.size(); ++i) {
      const double g = 0.5 * static_cast<double>(gradient.const_data_ptr<float>()[i]);
      w[i] *= 1 - 0.01 * config.weight_decay;
      m[i] = 0.9 * m[i] + (1 - 0.9) * g;
      v[i] = config.beta2 * v[i] + (1 - config.beta2) * g * g;
      const double t = static_cast<double>(step);
      w[i] -= 0.01 * (m[i] / (1 - std::pow(0.9, t))) /
              (std::sqrt(v[i] / (1 - std::pow(config.beta2, t))) + config.epsilon);
    }
  }
  for (size_t i = 0; i < w.size(); ++i)
    ASSERT_NEAR(parameters[0].tensor.const_data_ptr<float>()[i], w[i], 1e-6) << i;
}

// As the documentation of torch.optim.SGD has it.
TEST_P(EveryPath, SgdMatchesNaiveLoopInDouble) {
  for (const auto& [momentum, has_nesterov] :
       {std::pair{0.0, false}, std::pair{0.8, false}, std::pair{0.8, true}}) {
    OptimizerConfig config;
    config.name = "sgd";
    config.weight_decay = 0.1;
    config.decays_norms = true;
    config.momentum = momentum;
    config.has_nesterov = has_nesterov;
    const int64_t size = 40001;
    nn::Parameters parameters{make_parameter("w", random_tensor({size}, 1))};
    std::vector<double> w, m(static_cast<size_t>(size));
    for (int64_t i = 0; i < size; ++i)
      w.push_back(static_cast<double>(parameters[0].tensor.const_data_ptr<float>()[i]));
    const auto optimizer = make_optimizer(parameters, config, {.path = GetParam()});
    EXPECT_EQ(optimizer->state().size(), momentum > 0 ? 1u : 0u);
    for (int64_t step = 1; step <= 4; ++step) {
      const at::Tensor gradient = random_tensor({size}, 20 + static_cast<uint64_t>(step));
      set_gradient(parameters[0], gradient);
      optimizer->step(step, 0.02, 0.5);
      for (size_t i = 0; i < w.size(); ++i) {
        double g = 0.5 * static_cast<double>(gradient.const_data_ptr<float>()[i]);
        g += config.weight_decay * w[i];
        m[i] = momentum * m[i] + g;
        w[i] -= 0.02 * (has_nesterov ? g + momentum * m[i] : m[i]);
      }
    }
    for (size_t i = 0; i < w.size(); ++i)
      ASSERT_NEAR(parameters[0].tensor.const_data_ptr<float>()[i], w[i], 1e-6)
          << i << " " << momentum << " " << has_nesterov;
  }
}

nn::Parameters mixed_parameters() {
  return {make_parameter("matrix", random_tensor({300, 1100}, 1)),
          make_parameter("vector", random_tensor({140003}, 2)),
          make_parameter("experts", random_tensor({9, 140, 130}, 3), 0),
          make_parameter("small", random_tensor({7, 9}, 4))};
}

// Of the registry, by either path.
class EveryOptimizer : public ::testing::TestWithParam<OptimizerAndPath> {
 protected:
  OptimizerConfig config() const {
    OptimizerConfig config;
    config.name = std::get<0>(GetParam());
    if (config.name == "sgd") config.momentum = 0.9;  // so that every one has state
    return config;
  }
  std::unique_ptr<Optimizer> make(const nn::Parameters& parameters,
                                  const OptimizerConfig& config) const {
    return make_optimizer(parameters, config, {.path = std::get<1>(GetParam())});
  }
  nn::Parameters run_steps(int num_threads, double gradient_scale = 1.0,
                           double premultiplied = 1.0) const {
    const int before = omp_get_max_threads();
    omp_set_num_threads(num_threads);
    nn::Parameters parameters = mixed_parameters();
    const auto optimizer = make(parameters, config());
    for (int64_t step = 1; step <= 3; ++step) {
      for (auto& parameter : parameters)
        set_gradient(parameter,
                     random_tensor(parameter.tensor.sizes().vec(), 7 * static_cast<uint64_t>(step))
                         .mul(premultiplied));
      optimizer->step(step, 0.01, gradient_scale);
    }
    omp_set_num_threads(before);
    return parameters;
  }
};

// To the byte by loops; libtorch cuts its sums by the number of threads.
TEST_P(EveryOptimizer, GivesTheSameForAnyNumberOfThreads) {
  const nn::Parameters one = run_steps(1);
  for (int num_threads : {2, 3, 7}) {
    const nn::Parameters many = run_steps(num_threads);
    for (size_t i = 0; i < one.size(); ++i)
      if (std::get<1>(GetParam()) == UpdatePath::Loops)
        EXPECT_TRUE(at::equal(one[i].tensor, many[i].tensor)) << one[i].name << " " << num_threads;
      else
        expect_close(one[i].tensor, many[i].tensor, 1e-6, 1e-6, one[i].name);
  }
}

TEST_P(EveryOptimizer, ScalesTheGradientAsItIsRead) {
  const nn::Parameters scaled = run_steps(2, 0.25, 1.0), multiplied = run_steps(2, 1.0, 0.25);
  for (size_t i = 0; i < scaled.size(); ++i)
    expect_close(scaled[i].tensor, multiplied[i].tensor.detach(), 1e-6, 1e-6, scaled[i].name);
}

TEST_P(EveryOptimizer, LeavesFrozenParametersAndThoseWithoutGradientAlone) {
  nn::Parameters parameters = mixed_parameters();
  parameters[0].tensor.requires_grad_(false);
  parameters[2].tensor.mutable_grad() = at::Tensor();
  set_gradient(parameters[1], random_tensor({140003}, 5));
  const at::Tensor frozen = parameters[0].tensor.clone(),
                   without = parameters[2].tensor.detach().clone(),
                   moved = parameters[1].tensor.detach().clone();
  const auto optimizer = make(parameters, config());
  optimizer->step(1, 0.1, 1.0);
  EXPECT_TRUE(at::equal(parameters[0].tensor, frozen));
  EXPECT_TRUE(at::equal(parameters[2].tensor, without));
  EXPECT_FALSE(at::equal(parameters[1].tensor, moved));
  for (const auto& [name, tensor] : optimizer->state()) EXPECT_FALSE(name.starts_with("matrix"));
}

TEST_P(EveryOptimizer, GoesOnFromSavedState) {
  nn::Parameters straight = mixed_parameters(), stopped = mixed_parameters();
  auto whole = make(straight, config()), first = make(stopped, config());
  const auto give_gradients = [](nn::Parameters& parameters, int64_t step) {
    for (auto& parameter : parameters)
      set_gradient(parameter,
                   random_tensor(parameter.tensor.sizes().vec(), 50 + static_cast<uint64_t>(step)));
  };
  checkpoint::NamedTensors saved;
  for (int64_t step = 1; step <= 4; ++step) {
    give_gradients(straight, step);
    give_gradients(stopped, step);
    whole->step(step, 0.01, 1.0);
    first->step(step, 0.01, 1.0);
    if (step != 2) continue;
    for (const auto& [name, tensor] : first->state()) saved[name] = tensor.clone();
    first = make(stopped, config());
    first->load_state(saved);
  }
  for (size_t i = 0; i < straight.size(); ++i)
    EXPECT_TRUE(at::equal(straight[i].tensor, stopped[i].tensor)) << straight[i].name;
}

TEST_P(EveryOptimizer, RefusesStateThatDoesNotFit) {
  const nn::Parameters parameters = mixed_parameters();
  const auto optimizer = make(parameters, config());
  const auto error_of = [&](const checkpoint::NamedTensors& state) -> std::string {
    try {
      optimizer->load_state(state);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::CorruptFile);
      return error.what();
    }
    return "";
  };
  checkpoint::NamedTensors missing = optimizer->state(), extra = optimizer->state(),
                           reshaped = optimizer->state();
  const std::string name = missing.begin()->first;
  missing.erase(name);
  extra["other.row"] = at::zeros({2});
  reshaped[name] = at::zeros({2, 3});
  EXPECT_NE(error_of(missing).find("lacks the tensor '" + name), std::string::npos);
  EXPECT_NE(error_of(extra).find("'other.row'"), std::string::npos);
  EXPECT_NE(error_of(reshaped).find("[2, 3]"), std::string::npos);
  EXPECT_EQ(error_of(optimizer->state()), "");
}

TEST_P(EveryOptimizer, CountsAsAChangeForAutograd) {
  nn::Parameters parameters = mixed_parameters();
  set_gradient(parameters[3], random_tensor({7, 9}, 5));
  const auto version = parameters[3].tensor._version();
  make(parameters, config())->step(1, 0.1, 1.0);
  EXPECT_GT(parameters[3].tensor._version(), version);
}

// A group's learning rate is as good as that learning rate for all.
TEST_P(EveryOptimizer, GroupsScaleTheLearningRate) {
  nn::Parameters grouped = mixed_parameters(), alone = mixed_parameters();
  OptimizerConfig scaled = config();
  scaled.router.learning_rate_scale = 0.5;
  scaled.expert.learning_rate_scale = 2.0;
  scaled.rest.learning_rate_scale = 0.25;
  const std::vector<double> scales = {0.25, 0.25, 2.0, 0.5};
  for (nn::Parameters* parameters : {&grouped, &alone}) {
    (*parameters)[3].tags.is_router = true;
    for (auto& parameter : *parameters)
      set_gradient(parameter, random_tensor(parameter.tensor.sizes().vec(), 8));
  }
  make(grouped, scaled)->step(1, 0.1, 1.0);
  for (size_t i = 0; i < alone.size(); ++i) {
    make({alone[i]}, config())->step(1, 0.1 * scales[i], 1.0);
    EXPECT_TRUE(at::equal(grouped[i].tensor, alone[i].tensor)) << grouped[i].name;
  }
}

// Without a gradient to speak of, a step shows the weight decay alone.
TEST_P(EveryOptimizer, DecaysByGroup) {
  OptimizerConfig decayed = config();
  decayed.weight_decay = 0.5;
  decayed.router.weight_decay = 0.25;
  decayed.expert.weight_decay = 0.0;
  decayed.scales_by_parameter = false;
  const auto factors = [&] {
    nn::Parameters parameters{make_parameter("matrix", at::ones({140, 130})),
                              make_parameter("router", at::ones({8, 4})),
                              make_parameter("experts", at::ones({2, 5, 6}), 0),
                              make_parameter("norm", at::ones({6})),
                              make_parameter("bias", at::ones({32, 6})),
                              make_parameter("expert_vectors", at::ones({2, 5}), 0)};
    parameters[1].tags.is_router = true;
    parameters[3].tags.is_norm = true;
    parameters[4].tags.is_relative_bias = true;
    for (auto& parameter : parameters) set_gradient(parameter, at::zeros_like(parameter.tensor));
    make(parameters, decayed)->step(1, 0.1, 1.0);
    std::vector<double> values;
    for (const auto& parameter : parameters)
      values.push_back(1.0 - parameter.tensor.min().item<double>());
    return values;
  };
  const auto expect_factors = [](const std::vector<double>& got, const std::vector<double>& want) {
    for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-6) << i;
  };
  expect_factors(factors(), {0.05, 0.025, 0, 0, 0, 0});
  decayed.decays_norms = true;
  expect_factors(factors(), {0.05, 0.025, 0, 0.05, 0.05, 0});
}

TEST_P(EveryOptimizer, TakesGradientsInBfloat16) {
  nn::Parameters half = mixed_parameters(), full = mixed_parameters();
  for (size_t i = 0; i < half.size(); ++i) {
    const at::Tensor gradient =
        random_tensor(half[i].tensor.sizes().vec(), 9 + i).to(at::kBFloat16);
    set_gradient(half[i], gradient);
    set_gradient(full[i], gradient.to(at::kFloat));
  }
  make(half, config())->step(1, 0.1, 0.7);
  make(full, config())->step(1, 0.1, 0.7);
  // sums over rows in parts of their own
  for (size_t i = 0; i < half.size(); ++i)
    expect_close(half[i].tensor, full[i].tensor.detach(), 1e-6, 1e-6, half[i].name);
}

TEST_P(EveryOptimizer, UpdatesTransposedParametersInPlace) {
  const at::Tensor init = random_tensor({140, 130}, 1), gradient = random_tensor({140, 130}, 2);
  nn::Parameters plain{make_parameter("w", init)},
      transposed{{"w", init.t().contiguous().t().requires_grad_(true), {}}};
  set_gradient(plain[0], gradient);
  set_gradient(transposed[0], gradient);
  make(plain, config())->step(1, 0.1, 1.0);
  make(transposed, config())->step(1, 0.1, 1.0);
  EXPECT_FALSE(transposed[0].tensor.is_contiguous());
  EXPECT_TRUE(at::equal(plain[0].tensor, transposed[0].tensor));
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryOptimizer, every_optimizer(),
                         [](const auto& instance) { return name_of(instance); });

TEST(Optimizer, RefusesWhatCannotBeRight) {
  const nn::Parameters parameters = mixed_parameters();
  const auto code_of = [&](const nn::Parameters& given,
                           const std::function<void(OptimizerConfig&)>& change) {
    OptimizerConfig config;
    change(config);
    try {
      make_optimizer(given, config);
    } catch (const Error& error) {
      return to_string(error.code());
    }
    return std::string_view("fine");
  };
  const auto nothing = [](OptimizerConfig&) {};
  EXPECT_EQ(code_of(parameters, nothing), "fine");
  EXPECT_EQ(code_of(parameters, [](auto& c) { c.name = "adafacto"; }),
            to_string(ErrorCode::NotFound));
  EXPECT_EQ(code_of(parameters, [](auto& c) { c.clipping_threshold = 0; }),
            to_string(ErrorCode::InvalidConfig));
  EXPECT_EQ(code_of(parameters, [](auto& c) { c.name = "adamw", c.beta2 = 1.0; }),
            to_string(ErrorCode::InvalidConfig));
  EXPECT_EQ(code_of(parameters, [](auto& c) { c.name = "sgd", c.has_nesterov = true; }),
            to_string(ErrorCode::InvalidConfig));
  EXPECT_EQ(code_of(parameters, [](auto& c) { c.name = "sgd", c.momentum = 1; }),
            to_string(ErrorCode::InvalidConfig));
  EXPECT_EQ(code_of(parameters, [](auto& c) { c.beta1 = 1.0; }),
            to_string(ErrorCode::InvalidConfig));
  EXPECT_EQ(code_of(parameters, [](auto& c) { c.router.learning_rate_scale = -1; }),
            to_string(ErrorCode::InvalidConfig));
  EXPECT_EQ(code_of(parameters, [](auto& c) { c.expert.weight_decay = -1; }),
            to_string(ErrorCode::InvalidConfig));
  EXPECT_EQ(code_of({make_parameter("half", at::zeros({2}, at::kHalf))}, nothing),
            to_string(ErrorCode::Unsupported));
}

double sum_of_squares(const std::vector<at::Tensor>& tensors, UpdatePath path) {
  if (path == UpdatePath::TensorOps) return tensor_updates::sum_of_squares(tensors);
  std::vector<kernels::Values> parts;
  for (const at::Tensor& tensor : tensors) parts.push_back(as_values(tensor));
  return kernels::sum_of_squares(parts);
}

TEST_P(EveryPath, SumOfSquaresIsFiniteUnlessAnElementIsNot) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor values = at::full({100001}, 3e38, type);
    EXPECT_TRUE(std::isfinite(sum_of_squares({values}, GetParam())));
    values[77777] = std::numeric_limits<double>::quiet_NaN();
    EXPECT_FALSE(std::isfinite(sum_of_squares({values}, GetParam())));
    values[77777] = -std::numeric_limits<double>::infinity();
    EXPECT_FALSE(std::isfinite(sum_of_squares({at::ones({3}), values}, GetParam())));
  }
  EXPECT_EQ(sum_of_squares({at::zeros({0})}, GetParam()), 0.0);
  EXPECT_EQ(sum_of_squares({}, GetParam()), 0.0);
}

TEST_P(EveryPath, SumOfSquaresGoesOverAllParts) {
  const std::vector<at::Tensor> tensors = {random_tensor({70001}, 1), random_tensor({3}, 2),
                                           random_tensor({200, 1000}, 3).to(at::kBFloat16)};
  double want = 0;
  for (const at::Tensor& tensor : tensors)
    want += tensor.to(at::kDouble).square().sum().item<double>();
  EXPECT_NEAR(sum_of_squares(tensors, GetParam()) / want, 1.0, 1e-12);
}

}  // namespace
}  // namespace flanmoe::train
