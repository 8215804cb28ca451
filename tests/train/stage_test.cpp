// How a stage ends, evaluations while it runs, and steps that are not finite.
#include <ATen/ops/full_like.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <limits>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "base/progress.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"
#include "train/divergence.h"
#include "train/run_files.h"
#include "train/tiny.h"
#include "train/trainer.h"

namespace flanmoe::train {
namespace {

class StageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    disable_progress();
    log::set_sink([this](log::Level, const std::string& line) { lines_ += line + "\n"; });
  }
  void TearDown() override {
    set_interrupted(false);
    log::set_sink(nullptr);
  }
  static Config one_step_config(int64_t steps) {
    Config config = tiny_config();
    config.steps = steps;
    config.log_every = 1;
    config.batch.bucket_batches = 1;
    return config;
  }
  std::vector<Json> metrics(const std::string& name) const {
    std::vector<Json> lines;
    LineReader reader((folder_ / name) + "/metrics.jsonl");
    for (std::string line; reader.next(line);) lines.push_back(parse_json(line, reader.where()));
    return lines;
  }
  std::vector<Json> evaluations(const std::string& name) const {
    std::vector<Json> found;
    for (Json line : metrics(name)) {
      line.erase("machine");
      if (line.contains("evaluation")) found.push_back(line);
    }
    return found;
  }
  std::string weights(const std::string& name, const std::string& part = "model") const {
    return read_file((folder_ / name) + "/" + part + "/model.safetensors");
  }
  Result run(const std::string& name, const Config& config, const std::function<void(Job&)>& change,
             bool resumes = false) {
    model::LoadedModel loaded = make_tiny_model();
    Job job = tiny_job(folder_ / name, resumes);
    if (change) change(job);
    return train(loaded, config, job);
  }
  // Evaluation n (from 1) gives values[n - 1] as the loss.
  static std::function<void(Job&)> give_losses(std::vector<double> values, int64_t every) {
    return [=](Job& job) {
      job.evaluate = [=](int64_t step) {
        const auto index = static_cast<size_t>((step + every - 1) / every - 1);
        return EvaluationValues{{"loss", values.at(index)},
                                {"accuracy", static_cast<double>(step) / 100}};
      };
    };
  }

  TemporaryFolder folder_;
  std::string lines_;
};

TEST_F(StageTest, EndsAtTheBudgetThatIsSpentFirstAndSaysWhich) {
  EXPECT_EQ(run("steps", one_step_config(6), {}).ended_by, "steps");
  const Json line = metrics("steps")[3];
  const int64_t tokens =
      line.at("input_tokens").get<int64_t>() + line.at("target_tokens").get<int64_t>();
  Config config = one_step_config(0);
  config.tokens = tokens;
  Result result = run("tokens", config, {});
  EXPECT_EQ(result.ended_by, "tokens");
  EXPECT_EQ(result.steps, 4);
  config.train_flops = metrics("steps")[1].at("train_flops");
  result = run("flops", config, {});
  EXPECT_EQ(result.ended_by, "train_flops");
  EXPECT_EQ(result.steps, 2);
  EXPECT_EQ(load_json((folder_ / "flops") + "/result.json").at("result").at("ended_by"),
            "train_flops");
}

TEST_F(StageTest, SecondsAreThoseOfAllProcesses) {
  Config config = one_step_config(0);
  config.wall_s = 1e6;
  config.log_every = 1000;
  EXPECT_CONTAINS(error_of(ErrorCode::Interrupted,
                           [&] {
                             run("out", config, [](Job& job) {
                               job.after_step = [](int64_t step) {
                                 if (step == 3) set_interrupted(true);
                               };
                             });
                           }),
                  "stopped at step 3 (");
  set_interrupted(false);
  Json trainer = read_trainer(folder_ / "out");
  EXPECT_GT(trainer.at("extra").at("wall_s"), 0.0);
  trainer["extra"]["wall_s"] = 1e6;  // all but spent when it was stopped
  write_trainer(folder_ / "out", trainer.dump());
  const Result result = run("out", config, {}, true);
  EXPECT_EQ(result.ended_by, "wall_s");
  EXPECT_EQ(result.steps, 3);
  EXPECT_GE(result.wall_s, 1e6);
  EXPECT_GT(result.final_loss, 0);  // of a window that ended before it was full
  EXPECT_EQ(metrics("out").back().at("step"), 3);
}

TEST_F(StageTest, EvaluatesEveryNStepsAndAtTheEndWithoutChangingTheRun) {
  Config config = one_step_config(11);
  run("plain", config, {});
  config.evaluate_every = 4;
  const Result result = run("watched", config, give_losses({3, 1, 2}, 4));
  const std::vector<Json> lines = evaluations("watched");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].at("step"), 4);
  EXPECT_EQ(lines[1].at("evaluation").at("loss"), 1.0);
  EXPECT_EQ(lines[2].at("step"), 11);
  EXPECT_EQ(weights("watched"), weights("plain"));
  EXPECT_EQ(result.model_step, 11);
  EXPECT_EQ(result.evaluation.at("loss"), 2.0);
  EXPECT_EQ(load_json((folder_ / "watched") + "/result.json").at("result").at("evaluation"),
            (Json{{"accuracy", 0.11}, {"loss", 2.0}}));
}

TEST_F(StageTest, KeepsTheBestModel) {
  Config config = one_step_config(8);
  run("eight", config, {});
  config.evaluate_every = 4;
  config.keeps_best = true;
  config.steps = 16;
  const Result result = run("best", config, give_losses({3, 1, 2, 1.5}, 4));
  EXPECT_EQ(result.model_step, 8);
  EXPECT_EQ(result.steps, 16);
  EXPECT_EQ(result.evaluation.at("loss"), 1.0);
  EXPECT_EQ(weights("best"), weights("eight"));
  EXPECT_FALSE(is_folder((folder_ / "best") + "/best"));
  config.monitor = "accuracy";  // which rises to the end
  EXPECT_EQ(run("last", config, give_losses({3, 1, 2, 1.5}, 4)).model_step, 16);
  EXPECT_NE(weights("last"), weights("eight"));
}

TEST_F(StageTest, StopsEarlyWhereNothingGetsBetter) {
  Config config = one_step_config(40);
  config.evaluate_every = 4;
  config.patience = 2;
  const Result result = run("out", config, give_losses({3, 2, 2.5, 2.5, 1, 1, 1, 1, 1, 1}, 4));
  EXPECT_EQ(result.steps, 16);
  EXPECT_EQ(result.ended_by, "patience");
}

TEST_F(StageTest, AStoppedRunKnowsItsEvaluationsAndItsBestModel) {
  Config config = one_step_config(40);
  config.evaluate_every = 3;
  config.patience = 3;
  config.keeps_best = true;
  config.checkpoint_every = 2;
  const auto losses = give_losses({3, 1, 2, 0.5, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2}, 3);
  const Result whole = run("whole", config, losses);
  EXPECT_EQ(whole.steps, 21);
  EXPECT_EQ(whole.model_step, 12);
  for (const int64_t step : {6, 7, 12, 13, 20}) {
    const std::string name = fmt::format("stopped-{}", step);
    error_of(ErrorCode::Interrupted, [&] {
      run(name, config, [&](Job& job) {
        losses(job);
        job.after_step = [=](int64_t made) {
          if (made == step) set_interrupted(true);
        };
      });
    });
    set_interrupted(false);
    const Result resumed = run(name, config, losses, true);
    EXPECT_EQ(resumed.steps, 21) << step;
    EXPECT_EQ(resumed.model_step, 12) << step;
    EXPECT_EQ(weights(name), weights("whole")) << step;
    EXPECT_EQ(evaluations(name), evaluations("whole")) << step;
  }
}

// Best models may be newer than the checkpoint that a killed run goes on from.
TEST_F(StageTest, AKilledRunGoesBackToTheBestModelOfItsCheckpoint) {
  Config config = one_step_config(15);
  config.evaluate_every = 3;
  config.keeps_best = true;
  config.checkpoint_every = 5;
  const auto losses = give_losses({3, 2, 1, 4, 5}, 3);
  run("whole", config, losses);
  EXPECT_THROW(run("killed", config,
                   [&](Job& job) {
                     losses(job);
                     job.after_step = [](int64_t step) {
                       if (step == 10) throw std::runtime_error("killed");  // best: 9, saved: 5
                     };
                   }),
               std::runtime_error);
  EXPECT_TRUE(is_folder((folder_ / "killed") + "/best/step-00000003"));
  EXPECT_TRUE(is_folder((folder_ / "killed") + "/best/step-00000009"));
  run("killed", config, losses, true);
  EXPECT_EQ(weights("killed"), weights("whole"));
}

TEST_F(StageTest, AnInterruptedEvaluationIsMadeWhenTheRunGoesOn) {
  Config config = one_step_config(8);
  config.evaluate_every = 4;
  const auto losses = give_losses({3, 2}, 4);
  run("whole", config, losses);
  error_of(ErrorCode::Interrupted, [&] {
    run("out", config, [&](Job& job) {
      job.evaluate = [](int64_t) -> EvaluationValues {
        fail(ErrorCode::Interrupted, "[eval] stopped");
      };
    });
  });
  EXPECT_EQ(evaluations("out").size(), 0u);
  run("out", config, losses, true);
  EXPECT_EQ(evaluations("out"), evaluations("whole"));
  EXPECT_EQ(weights("out"), weights("whole"));
}

TEST_F(StageTest, EvaluationKeysThatCannotBeRight) {
  Config config = one_step_config(8);
  config.patience = 3;
  EXPECT_CONTAINS(error_of(ErrorCode::InvalidConfig, [&] { run("out", config, {}); }),
                  "patience needs evaluations: evaluate_every is 0");
  config.evaluate_every = 2;
  EXPECT_CONTAINS(error_of(ErrorCode::InvalidArgument, [&] { run("out", config, {}); }),
                  "nothing to evaluate on");
  config.accumulation_steps = 7;
  EXPECT_CONTAINS(error_of(ErrorCode::InvalidConfig, [&] { run("out", config, {}); }),
                  "no more than the 6 rows of batch.batch_size");
}

TEST_F(StageTest, RatesOfAStageTakeThePlaceOfTheModels) {
  Config config = one_step_config(3);
  run("models", config, {});
  config.dropout_rate = 0.1;  // as the model has it
  config.expert_dropout_rate = 0.0;
  config.jitter = 0.0;
  run("same", config, {});
  EXPECT_EQ(weights("same"), weights("models"));
  for (std::optional<double> Config::*rate :
       {&Config::dropout_rate, &Config::expert_dropout_rate, &Config::jitter}) {
    Config other = config;
    other.*rate = 0.3;
    run("other", other, {});
    EXPECT_NE(weights("other"), weights("models"));
    std::filesystem::remove_all(folder_ / "other");
  }
  // the model keeps its own
  EXPECT_EQ(model::load_model_config((folder_ / "same") + "/model").dropout_rate, 0.1);
  config.dropout_rate = 1.0;
  EXPECT_CONTAINS(error_of(ErrorCode::InvalidConfig, [&] { run("bad", config, {}); }),
                  "dropout_rate is 1");
}

// ---- divergence

void plant(const model::Model& model, const std::string& name, double value) {
  for (const nn::Parameter& parameter : model.parameters())
    if (parameter.name == name) {
      parameter.tensor.detach().view(-1)[3].fill_(value);
      return;
    }
  FAIL() << name;
}

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(),
                 kInfinity = std::numeric_limits<double>::infinity();

TEST_F(StageTest, ABadWeightIsNamedWithTheFirstLayerAndTheStepIsKeptForReplay) {
  const std::string name = "decoder.block.1.layer.1.EncDecAttention.o.weight";
  for (const double value : {kNan, kInfinity}) {
    const std::string out = fmt::format("{}/out-{}", folder_ / "", value);
    Config config = one_step_config(9);
    model::LoadedModel loaded = make_tiny_model();
    Job job = tiny_job(out);
    job.after_step = [&](int64_t step) {
      if (step == 4) plant(*loaded.model, name, value);
    };
    const std::string message = error_of(ErrorCode::NonFinite, [&] { train(loaded, config, job); });
    EXPECT_CONTAINS(message, "at step 5");
    EXPECT_CONTAINS(message, "'" + name + "' has a value that is not finite");
    EXPECT_CONTAINS(message, "decoder.block.1.layer.1");
    EXPECT_CONTAINS(message, "flanmoe replay " + out + "/divergence/step-5");

    const Replay replay = load_replay(out + "/divergence/step-5");
    EXPECT_EQ(replay.step, 5);
    EXPECT_EQ(replay.config.batch.batch_size, 6);
    EXPECT_EQ(replay.batch.num_rows, 6);
    const auto saved = model::load_model(out + "/divergence/step-5/model");
    const ReplayResult result = run_replay(saved, replay);
    EXPECT_FALSE(std::isfinite(result.losses.front().second));
    EXPECT_EQ(result.divergence.bad_weight, name);
    EXPECT_EQ(result.divergence.bad_activation, "decoder.block.1.layer.1");
    EXPECT_TRUE(is_file(out + "/divergence/step-5/optimizer.safetensors"));
  }
}

TEST_F(StageTest, AReplayOfAFiniteStepGivesItsLossAndGradients) {
  Config config = one_step_config(4);
  config.learning_rate = 0;
  run("out", config, {});
  model::LoadedModel loaded = make_tiny_model();
  data::BatchStream stream(draw_first_token, config.batch, static_cast<uint64_t>(config.seed));
  stream.next();
  Replay replay{config, 2, 2, 0.0, stream.next()};
  const auto optimizer = make_optimizer(loaded.model->parameters(), config.optimizer);
  save_replay(folder_ / "replay", *make_trained_weights(loaded), *optimizer, replay, {.step = 2});
  const ReplayResult result = run_replay(loaded, load_replay(folder_ / "replay"));
  const Json line = metrics("out")[1];
  EXPECT_DOUBLE_EQ(result.losses.front().second, line.at("loss"));
  double sum = 0;
  for (const GradientNorm& gradient : result.gradients) sum += gradient.norm * gradient.norm;
  EXPECT_NEAR(std::sqrt(sum), line.at("gradient_norm"), 1e-6);
  EXPECT_TRUE(result.divergence.bad_weight.empty() && result.divergence.bad_gradient.empty());
  EXPECT_CONTAINS(error_of(ErrorCode::NotFound, [&] { load_replay(folder_ / "nowhere"); }),
                  "nowhere/replay.json");
}

TEST_F(StageTest, AGradientThatIsNotFiniteIsNamed) {
  Config config = one_step_config(9);
  model::LoadedModel loaded = make_tiny_model();
  const nn::Parameter& planted = loaded.model->parameters()[7];
  Job job = tiny_job(folder_ / "out");
  job.after_step = [&](int64_t step) {  // what the next backward pass adds its gradient to
    if (step == 2) {
      at::Tensor tensor = planted.tensor;
      tensor.mutable_grad() = at::full_like(tensor, kInfinity);
    }
  };
  const std::string message = error_of(ErrorCode::NonFinite, [&] { train(loaded, config, job); });
  EXPECT_CONTAINS(message,
                  "the gradient of parameter '" + planted.name + "' is not finite at step 3");
}

TEST_F(StageTest, AHugeLearningRateEndsWithAnError) {
  Config config = one_step_config(50);
  config.learning_rate = 1e30;
  config.warmup_steps = 0;
  config.optimizer.name = "adamw";
  EXPECT_CONTAINS(error_of(ErrorCode::NonFinite, [&] { run("out", config, {}); }), "step 2");
}

TEST_F(StageTest, SkippedStepsAreCountedAndLeaveTheModelAlone) {
  Config config = one_step_config(8);
  config.on_non_finite = OnNonFinite::Skip;
  const auto poison = [](model::LoadedModel& loaded, int64_t at_step) {
    return [&loaded, at_step](int64_t step) {
      if (step != at_step - 1) return;
      at::Tensor tensor = loaded.model->parameters()[7].tensor;
      tensor.mutable_grad() = at::full_like(tensor, kNan);
    };
  };
  std::vector<std::string> all_weights;
  for (const char* name : {"a", "b"}) {
    model::LoadedModel loaded = make_tiny_model();
    Job job = tiny_job(folder_ / name);
    job.after_step = poison(loaded, 5);
    const Result result = train(loaded, config, job);
    EXPECT_EQ(result.num_skipped_steps, 1);
    EXPECT_EQ(result.steps, 8);
    all_weights.push_back(weights(name));
  }
  EXPECT_EQ(all_weights[0], all_weights[1]);
  EXPECT_CONTAINS(lines_, "is not finite at step 5");
  const std::vector<Json> lines = metrics("a");
  EXPECT_EQ(lines[3].at("skipped_steps"), 0);
  EXPECT_EQ(lines[4].at("skipped_steps"), 1);
  EXPECT_FALSE(lines[4].contains("loss"));
  EXPECT_EQ(lines[7].at("skipped_steps"), 1);
  EXPECT_TRUE(lines[7].at("loss").is_number());

  // step 5 did nothing
  Config four = config;
  four.steps = 4;
  run("four", four, {});
  four.steps = 5;
  model::LoadedModel loaded = make_tiny_model();
  Job job = tiny_job(folder_ / "five");
  job.after_step = poison(loaded, 5);
  train(loaded, four, job);
  EXPECT_EQ(weights("five"), weights("four"));
}

TEST_F(StageTest, TooManySkippedStepsInARowEndTheRun) {
  Config config = one_step_config(50);
  config.on_non_finite = OnNonFinite::Skip;
  model::LoadedModel loaded = make_tiny_model();
  Job job = tiny_job(folder_ / "out");
  job.after_step = [&](int64_t step) {
    if (step == 2) plant(*loaded.model, "shared.weight", kNan);
    if (step == 2) plant(*loaded.model, "encoder.final_layer_norm.weight", kNan);
  };
  const std::string message = error_of(ErrorCode::NonFinite, [&] { train(loaded, config, job); });
  EXPECT_CONTAINS(message, "at step 12");
  EXPECT_CONTAINS(message, "10th step in a row");
  EXPECT_EQ(metrics("out").back().at("skipped_steps"), 9);
}

}  // namespace
}  // namespace flanmoe::train
