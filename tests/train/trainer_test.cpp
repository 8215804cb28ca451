#include "train/trainer.h"

#include <ATen/ops/equal.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <cmath>
#include <limits>
#include <set>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "base/progress.h"
#include "support/temporary_folder.h"
#include "train/expert_statistics.h"
#include "train/run_files.h"
#include "train/tiny.h"

namespace flanmoe::train {
namespace {

class Trainer : public ::testing::Test {
 protected:
  void SetUp() override { disable_progress(); }
  void TearDown() override {
    set_interrupted(false);
    log::set_sink(nullptr);
  }

  Result run(const std::string& out, const Config& config, bool is_sparse = true) {
    model::LoadedModel loaded = make_tiny_model(is_sparse);
    return train(loaded, config, tiny_job(out));
  }
  // Ctrl-C during step `step`.
  std::string run_until(const std::string& out, const Config& config, int64_t step,
                        bool resumes = false) {
    model::LoadedModel loaded = make_tiny_model();
    Job job = tiny_job(out, resumes);
    job.after_step = [=](int64_t made) {
      if (made == step) set_interrupted(true);
    };
    const std::string message =
        error_of(ErrorCode::Interrupted, [&] { train(loaded, config, job); });
    set_interrupted(false);
    return message;
  }
  Result resume(const std::string& out, const Config& config) {
    model::LoadedModel loaded = make_tiny_model();
    return train(loaded, config, tiny_job(out, true));
  }

  TemporaryFolder folder_;
};

TEST_F(Trainer, LowersTheLossAndWritesTheStagesFolder) {
  for (const bool is_sparse : {false, true}) {
    const std::string out = folder_ / (is_sparse ? "sparse" : "dense");
    Config config = tiny_config();
    config.steps = 60;
    config.learning_rate = 0.05;
    config.log_every = 10;
    config.batch.batch_size = 12;
    const Result result = run(out, config, is_sparse);
    const std::vector<Json> lines = read_metrics(out);
    ASSERT_EQ(lines.size(), 6u);
    EXPECT_LT(lines.back().at("cross_entropy"),
              0.7 * lines.front().at("cross_entropy").get<double>());
    EXPECT_EQ(result.steps, 60);
    EXPECT_DOUBLE_EQ(result.final_loss, lines.back().at("loss"));
    EXPECT_DOUBLE_EQ(result.train_flops, lines.back().at("train_flops"));
    EXPECT_EQ(lines.back().at("step"), 60);
    EXPECT_EQ(lines.back().at("target_tokens"), 2 * 12 * 60);
    EXPECT_GT(lines.back().at("machine").at("tokens_per_s"), 0.0);
    EXPECT_EQ(lines.back().contains("load_balance_loss"), is_sparse);
    EXPECT_EQ(lines.back().contains("experts"), is_sparse);
    if (is_sparse) {
      ASSERT_EQ(lines.back().at("experts").size(), 2u);
      for (const auto& [layer, values] : lines.back().at("experts").items()) {
        EXPECT_EQ(values.at("load").size(), 4u) << layer;
        for (const char* key : {"load_variation", "entropy", "fraction_dropped",
                                "fraction_unserved", "mean_combine_weight"})
          EXPECT_TRUE(values.contains(key)) << layer << " " << key;
      }
    }
    EXPECT_FALSE(is_folder(out + "/checkpoints"));
    EXPECT_EQ(load_json(out + "/result.json").at("result").at("steps"), 60);
    EXPECT_EQ(model::load_model(out + "/model").model->config().is_sparse(), is_sparse);
  }
}

TEST_F(Trainer, TrainsInBfloat16WithFloat32Weights) {
  Config config = tiny_config();
  config.precision = Precision::BFloat16;
  config.steps = 60;
  config.learning_rate = 0.05;
  config.log_every = 10;
  config.batch.batch_size = 12;
  model::LoadedModel loaded = make_tiny_model();
  train(loaded, config, tiny_job(folder_ / "out"));
  const std::vector<Json> lines = read_metrics(folder_ / "out");
  EXPECT_LT(lines.back().at("cross_entropy"),
            0.7 * lines.front().at("cross_entropy").get<double>());
  for (const auto& parameter : loaded.model->parameters())
    EXPECT_EQ(parameter.tensor.scalar_type(), at::kFloat) << parameter.name;
}

TEST_F(Trainer, GivesTheSameBytesTwice) {
  run(folder_ / "a", tiny_config());
  run(folder_ / "b", tiny_config());
  EXPECT_EQ(weights(folder_ / "a"), weights(folder_ / "b"));
  EXPECT_EQ(metrics_text(folder_ / "a"), metrics_text(folder_ / "b"));
  Config other = tiny_config();
  other.seed = 12;
  run(folder_ / "c", other);
  EXPECT_NE(weights(folder_ / "a"), weights(folder_ / "c"));
}

TEST_F(Trainer, ResumesAnInterruptedRunToTheSameBytes) {
  for (const char* optimizer : {"adafactor", "adamw"}) {
    Config config = tiny_config();
    config.optimizer.name = optimizer;
    config.batch.bucket_batches = 1;
    const std::string whole = folder_ / (std::string("whole-") + optimizer);
    run(whole, config);
    for (const int64_t step : {1, 4, 5, 11}) {
      const std::string out = folder_ / fmt::format("{}-{}", optimizer, step);
      const std::string message = run_until(out, config, step);
      EXPECT_NE(message.find(fmt::format("stopped at step {} of 12; continue with --resume", step)),
                std::string::npos)
          << message;
      EXPECT_TRUE(is_folder(out + "/checkpoints"));
      EXPECT_FALSE(is_folder(out + "/model"));
      EXPECT_EQ(resume(out, config).steps, 12);
      EXPECT_EQ(weights(out), weights(whole)) << step;
      EXPECT_EQ(metrics_text(out), metrics_text(whole)) << step;
    }
  }
}

TEST_F(Trainer, ResumesAfterSeveralStops) {
  Config config = tiny_config();
  config.batch.bucket_batches = 1;
  run(folder_ / "whole", config);
  run_until(folder_ / "out", config, 3);
  run_until(folder_ / "out", config, 4, true);
  run_until(folder_ / "out", config, 9, true);
  resume(folder_ / "out", config);
  EXPECT_EQ(weights(folder_ / "out"), weights(folder_ / "whole"));
  EXPECT_EQ(metrics_text(folder_ / "out"), metrics_text(folder_ / "whole"));
}

// What a killed process leaves: an older checkpoint, metrics that are ahead of it with half a line
// at the end.
TEST_F(Trainer, ResumesAKilledRunToTheSameBytes) {
  Config config = tiny_config();
  config.checkpoint_every = 4;
  config.log_every = 3;
  const std::string whole = folder_ / "whole", out = folder_ / "out";
  run(whole, config);
  model::LoadedModel loaded = make_tiny_model();
  Job job = tiny_job(out);
  job.draw = [](uint64_t position) {
    if (position >= 8 * 6) throw std::runtime_error("killed");
    return draw_first_token(position);
  };
  EXPECT_THROW(train(loaded, config, job), std::runtime_error);
  EXPECT_EQ(read_trainer(out).at("counts").at("step"), 8);
  write_file_atomically(out + "/metrics.jsonl",
                        read_file(out + "/metrics.jsonl") + "{\"step\": 9, \"loss\": 1}\n{\"ste");
  resume(out, config);
  EXPECT_EQ(weights(out), weights(whole));
  EXPECT_EQ(metrics_text(out), metrics_text(whole));
}

// Rows of several examples: a window has as many rows as its examples need, and batches run over
// the ends of windows, so the place in the data is more than the number of the step.
Config packed_config() {
  Config config = tiny_config();
  config.batch.packing = data::Packing::BestFit;
  config.batch.packing_window = 17;
  config.batch.batch_size = 3;
  config.batch.input_length = 24;
  config.batch.target_length = 8;
  return config;
}

TEST_F(Trainer, ResumesPackedRunsToTheSameBytes) {
  Config config = packed_config();
  config.loss_normalisation = model::LossNormalisation::Sequences;
  const std::string whole = folder_ / "whole";
  const Result result = run(whole, config);
  EXPECT_EQ(result.num_target_tokens, 2 * result.num_examples);
  EXPECT_GT(result.num_examples, 12 * 3 * 2);  // more than two a row
  std::set<std::string> cursors;
  for (const int64_t step : {1, 2, 3, 5, 8, 11}) {
    const std::string out = folder_ / fmt::format("stopped-{}", step);
    run_until(out, config, step);
    const Json trainer = read_trainer(out);
    cursors.insert(trainer.at("cursor").dump());
    EXPECT_EQ(resume(out, config).num_examples, result.num_examples);
    EXPECT_EQ(weights(out), weights(whole)) << step;
    EXPECT_EQ(metrics_text(out), metrics_text(whole)) << step;
  }
  EXPECT_EQ(cursors.size(), 6u);

  const std::string out = folder_ / "several";
  for (const int64_t step : {2, 3, 9}) run_until(out, config, step, step > 2);
  resume(out, config);
  EXPECT_EQ(weights(out), weights(whole));
  EXPECT_EQ(metrics_text(out), metrics_text(whole));
}

TEST_F(Trainer, ACheckpointElsewhereInTheDataGivesAnotherModel) {
  const Config config = packed_config();
  const std::string whole = folder_ / "whole", out = folder_ / "out";
  run(whole, config);
  run_until(out, config, 5);
  Json trainer = read_trainer(out);
  trainer["cursor"]["window"] = trainer["cursor"]["window"].get<int64_t>() + 1;
  trainer["cursor"]["row"] = 0;
  write_trainer(out, trainer.dump());
  resume(out, config);
  EXPECT_NE(weights(out), weights(whole));

  run_until(folder_ / "far", config, 5);
  trainer = read_trainer(folder_ / "far");
  trainer["cursor"]["row"] = 1000;
  write_trainer(folder_ / "far", trainer.dump());
  EXPECT_NE(error_of(ErrorCode::InvalidArgument, [&] { resume(folder_ / "far", config); })
                .find("row 1000 of window"),
            std::string::npos);
}

TEST_F(Trainer, LogsHowFullTheRowsAre) {
  Config config = packed_config();
  config.log_every = 1;
  config.batch.input_length = 9;  // some of ten tokens
  const Result result = run(folder_ / "packed", config);
  const std::vector<Json> packed = read_metrics(folder_ / "packed");
  ASSERT_EQ(packed.size(), 12u);
  double fill = 0;
  for (const Json& line : packed) {
    EXPECT_GE(line.at("closing_fill").get<double>(), line.at("input_fill").get<double>() - 1e-12);
    EXPECT_GE(line.at("closing_fill").get<double>(), line.at("target_fill").get<double>() - 1e-12);
    EXPECT_GE(line.at("machine").at("data_wait_s"), 0.0);
    fill += line.at("input_fill").get<double>() / 12;
  }
  EXPECT_EQ(packed.back().at("examples"), result.num_examples);
  EXPECT_GT(packed.back().at("cut_inputs"), 0);
  EXPECT_EQ(packed.back().at("cut_targets"), 0);
  EXPECT_NEAR(fill, static_cast<double>(result.num_input_tokens) / (12 * 3 * 9), 1e-9);
}

// What draws may fail hours into a run: the steps before count, and the run is resumed once the
// data is mended.
TEST_F(Trainer, AnErrorOfTheDataComesOutWhereItsBatchIsDue) {
  for (const bool is_packed : {false, true}) {
    Config config = is_packed ? packed_config() : tiny_config();
    config.checkpoint_every = 1;
    const std::string whole = folder_ / (is_packed ? "packed-whole" : "whole"),
                      out = folder_ / (is_packed ? "packed-out" : "out");
    run(whole, config);
    model::LoadedModel loaded = make_tiny_model();
    Job job = tiny_job(out);
    int64_t last_step = 0;
    job.after_step = [&](int64_t step) { last_step = step; };
    job.draw = [&](uint64_t position) {
      if (position == 30) fail(ErrorCode::CorruptFile, "line 31 of the data");
      return draw_first_token(position);
    };
    EXPECT_NE(error_of(ErrorCode::CorruptFile, [&] { train(loaded, config, job); })
                  .find("line 31 of the data"),
              std::string::npos);
    // 24 examples a window unpacked, 17 packed
    EXPECT_EQ(read_trainer(out).at("counts").at("step"), last_step);
    EXPECT_GE(last_step, 1);
    if (!is_packed) EXPECT_EQ(last_step, 4);
    resume(out, config);
    EXPECT_EQ(weights(out), weights(whole));
  }
}

TEST_F(Trainer, ResumingWithoutACheckpointStartsAtTheBeginning) {
  run(folder_ / "whole", tiny_config());
  resume(folder_ / "out", tiny_config());
  EXPECT_EQ(weights(folder_ / "out"), weights(folder_ / "whole"));
}

TEST_F(Trainer, AFinishedStageAnswersFromDisk) {
  const std::string out = folder_ / "out";
  const Result first = run(out, tiny_config());
  const std::string metrics = read_file(out + "/metrics.jsonl");
  model::LoadedModel loaded = make_tiny_model();
  Job job = tiny_job(out, true);
  job.draw = [](uint64_t) -> data::TokenizedExample {
    throw std::logic_error("nothing should be drawn");
  };
  const Result second = train(loaded, tiny_config(), job);
  EXPECT_EQ(second.steps, first.steps);
  EXPECT_DOUBLE_EQ(second.final_loss, first.final_loss);
  EXPECT_DOUBLE_EQ(second.train_flops, first.train_flops);
  EXPECT_EQ(read_file(out + "/metrics.jsonl"), metrics);
  const auto trained = model::load_model(out + "/model");
  for (size_t i = 0; i < trained.model->parameters().size(); ++i)
    EXPECT_TRUE(
        at::equal(loaded.model->parameters()[i].tensor, trained.model->parameters()[i].tensor));
}

TEST_F(Trainer, RefusesToOverwriteARun) {
  run(folder_ / "done", tiny_config());
  EXPECT_NE(error_of(ErrorCode::InvalidArgument, [&] { run(folder_ / "done", tiny_config()); })
                .find("--resume"),
            std::string::npos);
  run_until(folder_ / "stopped", tiny_config(), 1);
  EXPECT_NE(error_of(ErrorCode::InvalidArgument, [&] { run(folder_ / "stopped", tiny_config()); })
                .find("--resume"),
            std::string::npos);
}

TEST_F(Trainer, RefusesToResumeSomethingElse) {
  const std::string out = folder_ / "out";
  run_until(out, tiny_config(), 1);
  Config other = tiny_config();
  other.optimizer.decay_rate = 0.7;
  const std::string message = error_of(ErrorCode::InvalidConfig, [&] { resume(out, other); });
  EXPECT_NE(message.find("optimizer.decay_rate is 0.7, the run began with 0.8"), std::string::npos)
      << message;

  model::LoadedModel loaded = make_tiny_model();
  Job job = tiny_job(out, true);
  job.data_description = "other data";
  EXPECT_NE(
      error_of(ErrorCode::InvalidConfig, [&] { train(loaded, tiny_config(), job); }).find("data"),
      std::string::npos);

  model::LoadedModel dense = make_tiny_model(false);
  EXPECT_NE(
      error_of(ErrorCode::InvalidConfig, [&] { train(dense, tiny_config(), tiny_job(out, true)); })
          .find("model config"),
      std::string::npos);

  write_trainer(out, "{\"format\": 2}");
  EXPECT_NE(error_of(ErrorCode::Unsupported, [&] { resume(out, tiny_config()); })
                .find("trainer.json has format 2, expected 3"),
            std::string::npos);
  write_trainer(out, "{\"format\": 3}");
  EXPECT_NE(
      error_of(ErrorCode::CorruptFile, [&] { resume(out, tiny_config()); }).find("trainer.json"),
      std::string::npos);
}

TEST_F(Trainer, AFullDiskLeavesTheOldCheckpointsWhole) {
  const std::string out = folder_ / "out";
  Config config = tiny_config();
  config.checkpoint_every = 1;
  config.batch.bucket_batches = 1;
  run(folder_ / "whole", config);

  const auto before = signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  getrlimit(RLIMIT_FSIZE, &old_limit);
  model::LoadedModel loaded = make_tiny_model();
  Job job = tiny_job(out);
  job.after_step = [&](int64_t step) {
    if (step != 5) return;
    const rlimit limit{8192, old_limit.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  };
  error_of(ErrorCode::Io, [&] { train(loaded, config, job); });
  setrlimit(RLIMIT_FSIZE, &old_limit);
  signal(SIGXFSZ, before);

  // that of step 4 may still have been on its way
  EXPECT_GE(read_trainer(out).at("counts").at("step"), 3);
  EXPECT_LE(read_trainer(out).at("counts").at("step"), 4);
  resume(out, config);
  EXPECT_EQ(weights(out), weights(folder_ / "whole"));
  EXPECT_EQ(metrics_text(out), metrics_text(folder_ / "whole"));
}

TEST_F(Trainer, NamesAWeightThatIsNotFinite) {
  model::LoadedModel loaded = make_tiny_model();
  const nn::Parameter& planted = loaded.model->parameters()[4];
  planted.tensor.detach().view(-1)[3].fill_(std::numeric_limits<double>::quiet_NaN());
  const std::string message = error_of(
      ErrorCode::NonFinite, [&] { train(loaded, tiny_config(), tiny_job(folder_ / "out")); });
  EXPECT_NE(message.find("step 1"), std::string::npos) << message;
  EXPECT_NE(message.find(planted.name), std::string::npos) << message;
  EXPECT_NE(message.find("example keys"), std::string::npos) << message;
  EXPECT_FALSE(is_folder(folder_ / "out" + "/model"));
}

TEST_F(Trainer, StopsAtTheFirstStepThatReachesTheFlops) {
  Config config = tiny_config();
  config.log_every = 1;
  run(folder_ / "steps", config);
  const std::vector<Json> lines = read_metrics(folder_ / "steps");
  const double at_7 = lines[6].at("train_flops");
  config.train_flops = at_7;
  EXPECT_EQ(run(folder_ / "exact", config).steps, 7);
  config.train_flops = at_7 * 1.0001;
  const Result result = run(folder_ / "above", config);
  EXPECT_EQ(result.steps, 8);
  EXPECT_DOUBLE_EQ(result.train_flops, lines[7].at("train_flops"));
  EXPECT_EQ(read_metrics(folder_ / "above").back().at("step"), 8);
}

TEST_F(Trainer, ClipsTheGlobalNormOfTheGradient) {
  Config config = tiny_config();
  config.steps = config.log_every = 1;
  config.warmup_steps = 0;
  config.optimizer.name = "adamw";
  config.optimizer.epsilon = 1e6;  // so large that a step is in proportion to the gradient
  const auto change = [&](double max_norm, const char* name) {
    config.max_gradient_norm = max_norm;
    config.learning_rate = 1e3;
    model::LoadedModel loaded = make_tiny_model();
    const at::Tensor before = loaded.model->parameters()[0].tensor.detach().clone();
    train(loaded, config, tiny_job(folder_ / name));
    return loaded.model->parameters()[0].tensor.detach().sub(before).norm().item<double>();
  };
  const double whole = change(0, "none"),
               norm = read_metrics(folder_ / "none")[0].at("gradient_norm");
  EXPECT_NEAR(change(norm / 4, "quarter") / whole, 0.25, 1e-3);
  EXPECT_NEAR(change(norm * 2, "loose") / whole, 1.0, 1e-6);
  EXPECT_DOUBLE_EQ(read_metrics(folder_ / "quarter")[0].at("gradient_norm"),
                   norm);  // as it was before clipping
}

TEST_F(Trainer, LeavesFrozenParametersAlone) {
  model::LoadedModel loaded = make_tiny_model(), untrained = make_tiny_model();
  for (const nn::Parameter& parameter : loaded.model->parameters())
    if (!parameter.tags.is_expert()) at::Tensor(parameter.tensor).requires_grad_(false);
  train(loaded, tiny_config(), tiny_job(folder_ / "out"));
  for (size_t i = 0; i < loaded.model->parameters().size(); ++i) {
    const nn::Parameter& parameter = loaded.model->parameters()[i];
    EXPECT_EQ(at::equal(parameter.tensor, untrained.model->parameters()[i].tensor),
              !parameter.tags.is_expert())
        << parameter.name;
  }
  for (const nn::Parameter& parameter : loaded.model->parameters())
    at::Tensor(parameter.tensor).requires_grad_(false);
  error_of(ErrorCode::InvalidConfig,
           [&] { train(loaded, tiny_config(), tiny_job(folder_ / "frozen")); });
}

TEST_F(Trainer, WarnsOnceOfExpertsWithoutTokens) {
  std::vector<std::string> warnings;
  log::set_sink([&](log::Level level, const std::string& line) {
    if (level == log::Level::Warning) warnings.push_back(line);
  });
  model::LoadedModel loaded = make_tiny_model();
  for (const nn::Parameter& parameter : loaded.model->parameters()) {
    if (!parameter.tags.is_router) continue;
    parameter.tensor.detach().zero_();
    at::Tensor(parameter.tensor).requires_grad_(false);
  }
  Config config = tiny_config();
  config.steps = 2 * ExpertStatistics::kWatchedSteps;
  train(loaded, config, tiny_job(folder_ / "out"));
  // all logits are equal: every token takes experts 0 and 1
  int num_layers = 0;
  for (const std::string& warning : warnings) {
    if (warning.find("took no token") == std::string::npos) continue;
    ++num_layers;
    EXPECT_NE(warning.find("block.1.layer." + std::string(num_layers == 1 ? "2" : "1") +
                           ": in steps 1 to 20 experts 2, 3 of 4 took no token"),
              std::string::npos)
        << warning;
  }
  EXPECT_EQ(num_layers, 2);
  EXPECT_EQ(std::count_if(warnings.begin(), warnings.end(),
                          [](const std::string& warning) {
                            return warning.find(
                                       "asked for experts 0, 1 of 4: the router has "
                                       "collapsed") != std::string::npos;
                          }),
            2);
}

TEST_F(Trainer, RefusesAConfigThatCannotBeRight) {
  const auto message = [&](const std::function<void(Config&)>& change) {
    Config config = tiny_config();
    change(config);
    return error_of(ErrorCode::InvalidConfig, [&] { run(folder_ / "out", config); });
  };
  EXPECT_NE(message([](Config& c) { c.steps = -1; }).find("steps is -1"), std::string::npos);
  EXPECT_NE(message([](Config& c) { c.tokens = -5; }).find("tokens is -5"), std::string::npos);
  EXPECT_NE(message([](Config& c) { c.train_flops = -1e9; }).find("train_flops"),
            std::string::npos);
  EXPECT_NE(message([](Config& c) {
              c.wall_s = std::numeric_limits<double>::infinity();
            }).find("wall_s is inf"),
            std::string::npos);
  EXPECT_NE(message([](Config& c) { c.label_smoothing = 1; }).find("label_smoothing is 1"),
            std::string::npos);
  EXPECT_NE(message([](Config& c) { c.learning_rate = -1; }).find("learning_rate"),
            std::string::npos);
  EXPECT_NE(message([](Config& c) { c.log_every = 0; }).find("log_every"), std::string::npos);
  EXPECT_NE(message([](Config& c) { c.batch.batch_size = 0; }).find("batch_size"),
            std::string::npos);
  EXPECT_FALSE(is_folder(folder_ / "out"));
}

TEST_F(Trainer, AnotherProcessKeepsItsFolder) {
  const std::string out = folder_ / "out";
  {
    const FolderLock lock(out);
    EXPECT_CONTAINS(error_of(ErrorCode::InvalidArgument, [&] { run(out, tiny_config()); }),
                    "'" + out + "'");
    EXPECT_CONTAINS(error_of(ErrorCode::InvalidArgument, [&] { resume(out, tiny_config()); }),
                    "is writing there");
  }
  run(out, tiny_config());
  EXPECT_FALSE(is_file(out + "/.lock"));
}

}  // namespace
}  // namespace flanmoe::train
