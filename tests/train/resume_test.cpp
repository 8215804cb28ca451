// Checkpoints of a run: which are there, which one is resumed from, and what may change in between.
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "support/temporary_folder.h"
#include "train/checkpoints/checkpoint_writer.h"
#include "train/parameter_sets.h"
#include "train/run_files.h"
#include "train/tiny.h"
#include "train/trainer.h"

namespace flanmoe::train {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSteps = 12;

class Resume : public ::testing::Test {
 protected:
  void SetUp() override {
    disable_progress();
    log::set_sink([this](log::Level level, const std::string& line) {
      if (level == log::Level::Warning) warnings_ += line + "\n";
    });
  }
  void TearDown() override {
    set_interrupted(false);
    log::set_sink(nullptr);
  }

  static Config make_config() {
    Config config = tiny_config();
    config.steps = kSteps;
    config.batch.bucket_batches = 1;
    config.checkpoint_every = 2;
    return config;
  }
  static Result run(const std::string& out, const Config& config, bool resumes = false) {
    model::LoadedModel loaded = make_tiny_model();
    return train(loaded, config, tiny_job(out, resumes));
  }
  // An exception out of nowhere after step `step`, before it is saved.
  static void run_until(const std::string& out, const Config& config, int64_t step,
                        bool resumes = false) {
    model::LoadedModel loaded = make_tiny_model();
    Job job = tiny_job(out, resumes);
    job.after_step = [=](int64_t made) {
      if (made == step) throw std::runtime_error("planted");
    };
    EXPECT_THROW(train(loaded, config, job), std::runtime_error);
  }
  static CheckpointStore store(const std::string& out) {
    return CheckpointStore(out + "/checkpoints");
  }
  static std::vector<int64_t> steps(const std::string& out) { return store(out).steps(); }
  void expect_same(const std::string& a, const std::string& b, const std::string& where = {}) {
    EXPECT_EQ(weights(a), weights(b)) << where;
    EXPECT_EQ(metrics_text(a), metrics_text(b)) << where;
  }
  bool warned_of(const std::string& text) const {
    return warnings_.find(text) != std::string::npos;
  }

  TemporaryFolder folder_;
  std::string warnings_;
};

std::vector<std::string> files_of(const std::string& folder) {
  std::vector<std::string> files;
  for (const std::string& path : list_files(folder))
    files.push_back(path.substr(folder.size() + 1));
  return files;
}

TEST_F(Resume, ADamagedCheckpointIsNamedAndTheOneBeforeIsTaken) {
  Config config = make_config();
  const std::string whole = folder_ / "whole", stopped = folder_ / "stopped", out = folder_ / "out";
  run(whole, config);
  run_until(stopped, config, 9);
  ASSERT_EQ(steps(stopped), (std::vector<int64_t>{6, 8}));
  config.checkpoint_every = 0;
  const std::vector<std::string> files = files_of(store(stopped).path(8));
  EXPECT_EQ(std::set<std::string>(files.begin(), files.end()),
            (std::set<std::string>{"checksums.xxh128", "model/config.json",
                                   "model/generation_config.json", "model/model.safetensors",
                                   "model/modeling_flanmoe.py", "optimizer.safetensors",
                                   "trainer.json"}));
  for (const std::string& file : files) {
    for (const char* damage : {"truncated", "one bit flipped", "missing"}) {
      const std::string where = file + " " + damage;
      fs::copy(stopped, out, fs::copy_options::recursive);
      const std::string path = store(out).path(8) + "/" + file;
      std::string bytes = get_file(path);
      if (damage == std::string("truncated")) put_file(path, bytes.substr(0, bytes.size() / 2));
      if (damage == std::string("missing")) fs::remove(path);
      if (damage == std::string("one bit flipped")) {
        bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
        put_file(path, bytes);
      }
      warnings_.clear();
      run(out, config, true);
      EXPECT_TRUE(warned_of("the checkpoint of step 8 is damaged: " + store(out).path(8))) << where;
      if (file != kChecksumsFile) EXPECT_TRUE(warned_of(path)) << where << ": " << warnings_;
      expect_same(out, whole, where);
      fs::remove_all(out);
    }
  }
}

TEST_F(Resume, ARunKilledAgainBehindADamagedCheckpointStillResumes) {
  const Config config = make_config();
  const std::string whole = folder_ / "whole", out = folder_ / "out";
  run(whole, config);
  run_until(out, config, 9);
  put_file(store(out).path(8) + "/trainer.json", "");
  run_until(out, config, 7, true);  // nothing saved: 8 is there and damaged still
  EXPECT_EQ(steps(out), (std::vector<int64_t>{6, 8}));
  warnings_.clear();
  run_until(out, config, 9, true);
  EXPECT_TRUE(warned_of("step 8 is damaged"));
  EXPECT_EQ(steps(out), (std::vector<int64_t>{6, 8}));
  store(out).check(8);  // written anew
  warnings_.clear();
  run(out, config, true);
  EXPECT_FALSE(warned_of("damaged")) << warnings_;
  expect_same(out, whole);
}

TEST_F(Resume, WhereAllAreDamagedItSaysSo) {
  const Config config = make_config();
  const std::string out = folder_ / "out";
  run_until(out, config, 9);
  fs::remove(store(out).path(8) + "/optimizer.safetensors");
  fs::remove(store(out).path(6) + "/model/config.json");
  const std::string message = error_of(ErrorCode::CorruptFile, [&] { run(out, config, true); });
  for (const char* part : {"every checkpoint in ", "remove the folder to begin at step 0",
                           "step-00000008/optimizer.safetensors is missing",
                           "step-00000006/model/config.json is missing"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
  // what it says to do
  fs::remove_all(out + "/checkpoints");
  run(out, config, true);
  run(folder_ / "whole", config);
  expect_same(out, folder_ / "whole");
}

// As after a power failure: what the log had last was not on the disk yet.
TEST_F(Resume, ACheckpointAheadOfItsMetricsIsNotTaken) {
  Config config = make_config();
  config.log_every = 1;
  const std::string whole = folder_ / "whole", out = folder_ / "out";
  run(whole, config);
  run_until(out, config, 9);
  const std::string metrics = get_file(out + "/metrics.jsonl");
  put_file(
      out + "/metrics.jsonl",
      metrics.substr(
          0,
          load_json(store(out).path(6) + "/trainer.json").at("metrics_bytes").get<size_t>() + 10));
  run(out, config, true);
  EXPECT_TRUE(warned_of("step 8 is damaged: '" + out + "/metrics.jsonl' has "));
  expect_same(out, whole);
}

TEST_F(Resume, KeepsTheLastAndEverySoMany) {
  Config config = make_config();
  config.checkpoint_every = 1;
  const auto steps_after = [&](int64_t keep_last, int64_t keep_every, int64_t stop) {
    config.keep_last = keep_last;
    config.keep_every = keep_every;
    const std::string out = folder_ / fmt::format("{}-{}-{}", keep_last, keep_every, stop);
    if (stop < kSteps)
      run_until(out, config, stop + 1);
    else
      run(out, config);
    EXPECT_EQ(is_folder(out + "/checkpoints"), !steps(out).empty());
    return steps(out);
  };
  EXPECT_EQ(steps_after(1, 0, 7), (std::vector<int64_t>{7}));
  EXPECT_EQ(steps_after(3, 0, 7), (std::vector<int64_t>{5, 6, 7}));
  EXPECT_EQ(steps_after(2, 3, 7), (std::vector<int64_t>{3, 6, 7}));
  EXPECT_EQ(steps_after(2, 0, kSteps), (std::vector<int64_t>{}));
  EXPECT_EQ(steps_after(2, 5, kSteps), (std::vector<int64_t>{5, 10}));
}

TEST_F(Resume, SecondsMakeCheckpointsThatDoNotChangeTheBytes) {
  Config config = make_config();
  run(folder_ / "whole", config);
  config.checkpoint_every = 0;
  config.checkpoint_every_s = 1e-9;
  const std::string out = folder_ / "out";
  run_until(out, config, 9);
  ASSERT_FALSE(steps(out).empty());
  EXPECT_LE(steps(out).back(), 8);
  run(out, config, true);
  expect_same(out, folder_ / "whole");
  config.checkpoint_every_s = 1e9;
  run_until(folder_ / "seldom", config, 9);
  EXPECT_TRUE(steps(folder_ / "seldom").empty());
}

TEST_F(Resume, WaitsForCheckpointsAreLogged) {
  Config config = make_config();
  config.log_every = 2;
  run(folder_ / "out", config);
  const std::vector<Json> lines = read_metrics(folder_ / "out");
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_FALSE(
      lines[0].at("machine").contains("checkpoint_wait_s"));  // the first is made behind this line
  for (size_t i = 1; i < lines.size(); ++i)
    EXPECT_GT(lines[i].at("machine").at("checkpoint_wait_s"), 0.0);
}

TEST_F(Resume, KeysThatDoNotChangeTheBytesMayDiffer) {
  const Config config = make_config();
  const std::string whole = folder_ / "whole", stopped = folder_ / "stopped", out = folder_ / "out";
  run(whole, config);
  run_until(stopped, config, 9);
  Config other = config;
  other.checkpoint_every = 3;
  other.checkpoint_every_s = 1e6;
  other.keep_last = 1;
  other.keep_every = 9;
  other.writes_tensorboard = !config.writes_tensorboard;
  fs::copy(stopped, out, fs::copy_options::recursive);
  run(out, other, true);
  expect_same(out, whole);
  EXPECT_EQ(steps(out), (std::vector<int64_t>{9}));
  run(out, config, true);  // and of a finished one
  EXPECT_TRUE(steps(out).empty());

  other = config;
  other.log_every = 4;
  EXPECT_NE(error_of(ErrorCode::InvalidConfig, [&] { run(stopped, other, true); })
                .find("train config log_every is 4, the run began with 5"),
            std::string::npos);
}

TEST_F(Resume, ABudgetMayDifferWhereTheLearningRateDoesNotDependOnIt) {
  Config shorter = make_config(), longer = make_config();
  longer.steps = 20;
  const auto stop_and_resume = [&](const std::string& out, const Config& first,
                                   const Config& second) {
    run_until(out, first, 9);
    run(out, second, true);
  };
  run(folder_ / "20", longer);
  run(folder_ / "12", shorter);
  stop_and_resume(folder_ / "12-20", shorter, longer);
  expect_same(folder_ / "12-20", folder_ / "20");
  stop_and_resume(folder_ / "20-12", longer, shorter);
  expect_same(folder_ / "20-12", folder_ / "12");

  run_until(folder_ / "8", longer, 9);
  shorter.steps = 8;
  EXPECT_NE(error_of(ErrorCode::InvalidConfig, [&] { run(folder_ / "8", shorter, true); })
                .find("train config steps is 8, the run has made 8 already"),
            std::string::npos);
  EXPECT_NE(error_of(ErrorCode::InvalidConfig, [&] { run(folder_ / "20", shorter, true); })
                .find("train config steps is 8, the run began with 20"),
            std::string::npos);

  shorter.steps = 12;
  shorter.schedule = longer.schedule = ScheduleKind::Linear;
  run_until(folder_ / "linear", shorter, 9);
  const std::string message =
      error_of(ErrorCode::InvalidConfig, [&] { run(folder_ / "linear", longer, true); });
  EXPECT_NE(message.find("train config steps is 20, the run began with 12"), std::string::npos);
  EXPECT_NE(message.find("decay_steps 0"), std::string::npos) << message;
}

TEST_F(Resume, AFolderOfTheOldLayoutIsRefused) {
  make_folders(folder_ / "out/checkpoint/model");
  for (const bool resumes : {false, true})
    EXPECT_NE(
        error_of(ErrorCode::InvalidArgument, [&] { run(folder_ / "out", make_config(), resumes); })
            .find("cannot continue it"),
        std::string::npos);
}

TEST_F(Resume, FrozenParametersResumeToTheSameBytes) {
  Config config = make_config();
  config.frozen = {"embedding", "gate"};
  run(folder_ / "whole", config);
  run_until(folder_ / "out", config, 9);
  run(folder_ / "out", config, true);
  expect_same(folder_ / "out", folder_ / "whole");
}

// What the loop does, without it.
class Writer : public Resume {
 protected:
  Progressed at_step(int64_t step, int64_t best_step = 0) {
    put_file(folder_.metrics_path(), "");
    Progressed progressed;
    progressed.counts.step = step;
    progressed.best_step = best_step;
    progressed.extra = {{"evaluations", {1, 2.5}}, {"note", "kept"}};
    return progressed;
  }
  void set_all(float value) {
    for (const nn::Parameter& parameter : loaded_.model->parameters())
      parameter.tensor.detach().fill_(value);
    for (const auto& [name, tensor] : optimizer_->state()) at::Tensor(tensor).fill_(value);
  }
  void expect_all(float value) {
    for (const nn::Parameter& parameter : loaded_.model->parameters())
      EXPECT_TRUE(at::equal(parameter.tensor.detach(),
                            at::Tensor(parameter.tensor.detach().clone()).fill_(value)))
          << parameter.name;
  }
  StageFolder open() {
    return {tiny_job(out_, true), *weights_,
            make_identity(*loaded_.model, *weights_, config_, tiny_job(out_))};
  }

  const std::string out_ = Resume::folder_ / "out";
  const Config config_ = [] {
    Config config = make_config();
    config.steps = 100;
    return config;
  }();
  model::LoadedModel loaded_ = make_tiny_model();
  std::unique_ptr<Optimizer> optimizer_ =
      make_optimizer(loaded_.model->parameters(), config_.optimizer);
  const std::unique_ptr<TrainedWeights> weights_ = make_trained_weights(loaded_);
  const StageFolder folder_ = open();
};

TEST_F(Writer, ACheckpointHasTheStateOfItsInstant) {
  CheckpointWriter writer(folder_, *optimizer_, config_);
  for (int64_t step = 1; step <= 20; ++step) {
    set_all(static_cast<float>(step));
    EXPECT_GE(writer.save(at_step(step)), 0.0);
    set_all(-1);  // training goes on while it is written
  }
  writer.wait();
  EXPECT_EQ(folder_.checkpoints().steps(), (std::vector<int64_t>{19, 20}));
  const auto progressed = folder_.load_checkpoint(*optimizer_);
  ASSERT_TRUE(progressed);
  EXPECT_EQ(progressed->counts.step, 20);
  EXPECT_EQ(progressed->extra.at("note"), "kept");
  EXPECT_EQ(progressed->extra.at("evaluations")[1], 2.5);
  expect_all(20);
  for (const auto& [name, tensor] : optimizer_->state())
    EXPECT_TRUE(at::equal(tensor, at::Tensor(tensor.clone()).fill_(20))) << name;

  set_all(21);
  writer.save_now(at_step(21));
  set_all(-1);
  EXPECT_EQ(folder_.load_checkpoint(*optimizer_)->counts.step, 21);
  expect_all(21);
}

TEST_F(Writer, ChecksumsMadeWhileWritingAreThoseOfTheFiles) {
  CheckpointWriter writer(folder_, *optimizer_, config_);
  writer.save(at_step(1));
  writer.wait();
  const std::string path = folder_.checkpoints().path(1),
                    written = get_file(path + "/" + kChecksumsFile);
  write_checksums(path);
  EXPECT_EQ(get_file(path + "/" + kChecksumsFile), written);
}

TEST_F(Writer, AFailedWriteIsToldOnceAndTheNextOneSucceeds) {
  CheckpointWriter writer(folder_, *optimizer_, config_);
  writer.save(at_step(1));
  writer.wait();
  const std::string path = folder_.checkpoints().path(2);
  put_file(path, "a file in the way");
  writer.save(at_step(2));
  EXPECT_NE(error_of(ErrorCode::Io, [&] { writer.wait(); }).find(path), std::string::npos);
  writer.check();
  EXPECT_EQ(folder_.checkpoints().steps(), std::vector<int64_t>{1});
  fs::remove(path);
  writer.save(at_step(2));
  writer.wait();
  EXPECT_EQ(folder_.checkpoints().steps(), (std::vector<int64_t>{1, 2}));

  put_file(folder_.checkpoints().path(3), "a file in the way");
  writer.save(at_step(3));
  writer.wait_and_warn();
  EXPECT_TRUE(warned_of("the last checkpoint could not be written: "));
}

TEST_F(Writer, TheBestModelIsThereAsLongAsACheckpointNamesIt) {
  const auto best_steps = [&] { return folder_.best_models().steps(); };
  CheckpointWriter writer(folder_, *optimizer_, config_);
  set_all(3);
  writer.save_best(3, {{"accuracy", 0.5}, {"loss", 2}});
  set_all(4);
  writer.save(at_step(4, 3));
  writer.wait();
  EXPECT_EQ(model::load_model(folder_.best_models().path(3)).model->config().d_model, 24);
  set_all(5);
  writer.save_best(5, {{"accuracy", 0.75}});
  writer.wait();
  EXPECT_EQ(best_steps(), (std::vector<int64_t>{3, 5}));
  // killed here, the run goes on from step 4, whose best model is that of step 3
  EXPECT_EQ(folder_.load_checkpoint(*optimizer_)->best_step, 3);
  const auto values = folder_.load_best(3);
  EXPECT_EQ(values, (std::map<std::string, double>{{"accuracy", 0.5}, {"loss", 2}}));
  expect_all(3);

  writer.save(at_step(6, 5));
  writer.wait();
  EXPECT_EQ(best_steps(), (std::vector<int64_t>{3, 5}));  // of steps 4 and 6
  writer.save(at_step(8, 5));
  writer.wait();
  EXPECT_EQ(best_steps(), (std::vector<int64_t>{5}));
  EXPECT_DOUBLE_EQ(folder_.load_best(5).at("accuracy"), 0.75);
  expect_all(5);

  fs::remove(folder_.best_models().path(5) + "/config.json");
  EXPECT_NE(error_of(ErrorCode::CorruptFile, [&] { (void)folder_.load_best(5); })
                .find("config.json is missing"),
            std::string::npos);
  EXPECT_NE(error_of(ErrorCode::CorruptFile, [&] { (void)folder_.load_checkpoint(*optimizer_); })
                .find("best/step-00000005/config.json is missing"),
            std::string::npos);
  folder_.save_finished({});
  EXPECT_FALSE(is_folder(out_ + "/best"));
  EXPECT_FALSE(is_folder(out_ + "/checkpoints"));
}

TEST_F(Writer, ALeftOverOfAKilledProcessIsRemoved) {
  CheckpointWriter writer(folder_, *optimizer_, config_);
  writer.save(at_step(4));
  writer.save_best(4, {});
  writer.wait();
  constexpr const char* kNobody = "999999999";  // no process has that number
  for (const char* parent : {"/checkpoints", "/best"})
    for (const char* kind : {".tmp-", ".removed-"})
      make_folders(out_ + parent + "/step-00000006" + kind + kNobody + "/model");
  EXPECT_TRUE(has_training(out_));
  open();
  for (const char* parent : {"/checkpoints", "/best"})
    EXPECT_EQ(std::distance(fs::directory_iterator(out_ + parent), {}), 1);
  fs::remove_all(out_ + "/checkpoints");
  EXPECT_FALSE(has_training(out_));
}

}  // namespace
}  // namespace flanmoe::train
