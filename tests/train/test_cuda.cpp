// Training on CUDA against training on the CPU. Fails where the machine has no CUDA device
// (cmake/tests.cmake).
#include <gtest/gtest.h>

#include <cmath>

#include "base/interrupt.h"
#include "base/progress.h"
#include "ops/device.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"
#include "support/tensors.h"
#include "train/divergence.h"
#include "train/every_optimizer.h"
#include "train/gradients.h"
#include "train/optimizers/tensor_updates.h"
#include "train/run_files.h"
#include "train/step.h"
#include "train/stochastic_rounding.h"
#include "train/tiny.h"

namespace flanmoe::train {
namespace {

using testing::compare;
using testing::compare_bits;
using testing::random_tensor;

class Cuda : public ::testing::Test {
 protected:
  void SetUp() override {
    ops::require_cuda();
    disable_progress();
  }
  void TearDown() override { set_interrupted(false); }

  static model::LoadedModel make_model(const at::Device& device, const Config& config,
                                       bool is_sparse) {
    model::LoadedModel loaded;
    loaded.model = std::make_unique<model::Model>(tiny_model_config(is_sparse), 5,
                                                  find_parameter_dtype(config), device);
    return loaded;
  }
  // The weights of a run.
  model::LoadedModel run(const std::string& name, const at::Device& device, const Config& config,
                         bool is_sparse, bool resumes = false,
                         const std::function<void(Job&)>& change = {}) {
    model::LoadedModel loaded = make_model(device, config, is_sparse);
    Job job = tiny_job(folder_ / name, resumes);
    if (change) change(job);
    results_[name] = train(loaded, config, job);
    return loaded;
  }
  static void expect_same_weights(const model::LoadedModel& got, const model::LoadedModel& want,
                                  double absolute, const std::string& what) {
    for (size_t i = 0; i < want.model->parameters().size(); ++i)
      EXPECT_EQ(compare(got.model->parameters()[i].tensor.detach().cpu(),
                        want.model->parameters()[i].tensor.detach().cpu(), absolute, 1e-3),
                "")
          << what << " " << want.model->parameters()[i].name;
  }

  TemporaryFolder folder_;
  std::map<std::string, Result> results_;
};

TEST_F(Cuda, RoundsStochasticallyToTheSameBits) {
  const RandomKey key(7, RandomPurpose::StochasticRounding);
  const at::Tensor x = random_tensor({1003, 77}, 1, at::kFloat);
  EXPECT_EQ(compare_bits(tensor_updates::round_stochastically(x.to(at::kCUDA), key).cpu(),
                         tensor_updates::round_stochastically(x, key)),
            "");
}

TEST_F(Cuda, GradientsOfAStepEqualThoseOfTheCpu) {
  data::BatchStream stream(draw_first_token, tiny_config().batch, 1);
  const data::Batch batch = stream.next();
  for (const bool is_sparse : {false, true})
    for (const int64_t num_parts : {1, 3}) {
      Config config = tiny_config();
      config.accumulation_steps = num_parts;
      std::vector<model::LoadedModel> models;
      std::vector<StepValues> losses;
      for (const at::DeviceType device : {at::kCPU, at::kCUDA}) {
        models.push_back(make_model(device, config, is_sparse));
        const model::Model& model = *models.back().model;
        set_gradient_dtypes(model.parameters(), config);
        nn::Context context = make_training_context(config, 1);
        losses.push_back(compute_gradients(model, batch, config, context));
        losses.back().emplace_back("gradient_norm", compute_gradient_norm(model.parameters()));
      }
      ASSERT_EQ(losses[0].size(), losses[1].size());
      for (size_t i = 0; i < losses[0].size(); ++i)
        EXPECT_NEAR(losses[1][i].second, losses[0][i].second, 1e-4) << losses[0][i].first;
      for (size_t i = 0; i < models[0].model->parameters().size(); ++i)
        EXPECT_EQ(compare(models[1].model->parameters()[i].tensor.grad().cpu(),
                          models[0].model->parameters()[i].tensor.grad(), 1e-5, 1e-3),
                  "")
            << models[0].model->parameters()[i].name;
    }
}

class EveryOptimizerOnCuda : public Cuda, public ::testing::WithParamInterface<std::string> {
 protected:
  static Config config() {
    Config config = tiny_config();
    config.optimizer.name = GetParam();
    config.optimizer.weight_decay = 0.01;
    if (GetParam() == "sgd") config.optimizer.momentum = 0.9;
    if (GetParam() == "adamw") config.optimizer.epsilon = 1e-3;  // no step hangs on a sign alone
    config.frozen = {"embedding"};
    return config;
  }
};
INSTANTIATE_TEST_SUITE_P(Registry, EveryOptimizerOnCuda,
                         ::testing::ValuesIn(optimizer_registry().names()),
                         [](const auto& instance) { return instance.param; });

TEST_P(EveryOptimizerOnCuda, TrainsAsTheCpuDoesInFloat32) {
  for (const bool is_sparse : {false, true})
    for (const int64_t num_parts : {1, 2}) {
      Config given = config();
      given.accumulation_steps = num_parts;
      const std::string what = (is_sparse ? "sparse-" : "dense-") + std::to_string(num_parts);
      const auto want = run(what + "-cpu", at::kCPU, given, is_sparse),
                 got = run(what + "-cuda", at::kCUDA, given, is_sparse);
      expect_same_weights(got, want, 1e-3, what);
      EXPECT_NEAR(results_[what + "-cuda"].final_loss, results_[what + "-cpu"].final_loss, 1e-3);
    }
}

TEST_P(EveryOptimizerOnCuda, TrainsAsTheCpuDoesInBfloat16) {
  for (const bool has_stochastic_rounding : {false, true}) {
    Config given = config();
    given.precision = Precision::BFloat16;
    given.has_stochastic_rounding = has_stochastic_rounding;
    const std::string what = has_stochastic_rounding ? "rounded" : "masters";
    run(what + "-cpu", at::kCPU, given, false);
    run(what + "-cuda", at::kCUDA, given, false);
    EXPECT_NEAR(results_[what + "-cuda"].final_loss, results_[what + "-cpu"].final_loss, 0.05)
        << what;
  }
}

TEST_P(EveryOptimizerOnCuda, GoesOnFromACheckpoint) {
  Config given = config();
  given.keeps_optimizer_state = true;
  given.checkpoint_every = 4;
  const auto whole = run("whole", at::kCUDA, given, true);
  EXPECT_THROW(run("stopped", at::kCUDA, given, true, false,
                   [](Job& job) {
                     job.after_step = [](int64_t step) {
                       if (step == 7) set_interrupted(true);
                     };
                   }),
               Error);
  set_interrupted(false);
  const auto resumed = run("stopped", at::kCUDA, given, true, true);
  EXPECT_TRUE(resumed.model->device().is_cuda());
  expect_same_weights(resumed, whole, 1e-4, "resumed");
  EXPECT_TRUE(is_file(folder_ / "whole/model/optimizer.safetensors"));
}

TEST_F(Cuda, TheBestModelIsTaken) {
  Config config = tiny_config();
  config.evaluate_every = 4;
  config.keeps_best = true;
  const auto evaluate = [](int64_t best) {
    return [best](Job& job) {
      job.evaluate = [best](int64_t step) {
        return EvaluationValues{{"loss", std::abs(static_cast<double>(step - best))}};
      };
    };
  };
  const auto want = run("cpu", at::kCPU, config, false, false, evaluate(8)),
             got = run("cuda", at::kCUDA, config, false, false, evaluate(8));
  EXPECT_EQ(results_["cuda"].model_step, 8);
  expect_same_weights(got, want, 1e-3, "best");
}

TEST_F(Cuda, AStepThatIsNotFiniteIsSavedForReplay) {
  Config config = tiny_config();
  model::LoadedModel loaded = make_model(at::kCUDA, config, true);
  const nn::Parameter& planted = loaded.model->parameters()[7];
  Job job = tiny_job(folder_ / "out");
  job.after_step = [&](int64_t step) {
    if (step == 2) planted.tensor.detach().reshape(-1)[3].fill_(std::nan(""));
  };
  const std::string message = error_of(ErrorCode::NonFinite, [&] { train(loaded, config, job); });
  EXPECT_CONTAINS(message, planted.name);
  const std::string saved = folder_ / "out/divergence/step-3";
  const Replay replay = load_replay(saved);
  const auto model = model::load_model(saved + "/model", at::kFloat, at::kCUDA);
  EXPECT_EQ(run_replay(model, replay).divergence.bad_weight, planted.name);
}

}  // namespace
}  // namespace flanmoe::train
