// An optimizer's state that goes from stage to stage, also through upcycling.
#include "train/optimizer_state.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "convert/upcycle.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"
#include "support/tensors.h"
#include "train/tiny.h"

namespace flanmoe::train {
namespace {

class OptimizerState : public ::testing::TestWithParam<const char*> {
 protected:
  OptimizerState() {
    disable_progress();
    model::ModelConfig config = tiny_model_config(false);
    config.dropout_rate = 0;  // its noise is keyed by the step of a stage
    model::save_model(folder_ / "start", model::Model(config, 5), nullptr);
  }
  Config config(int64_t steps) const {
    Config config = tiny_config();
    config.optimizer.name = GetParam();
    config.warmup_steps = 0;
    config.batch.bucket_batches = 1;
    config.steps = steps;
    config.keeps_optimizer_state = true;
    return config;
  }
  // Batches from number `first_batch` on; stopped while batch `stop_at` of the stage is made.
  void run(const std::string& from, const std::string& to, const Config& config,
           int64_t first_batch = 0, int64_t stop_at = -1) const {
    model::LoadedModel loaded = model::load_model(from);
    Job job = tiny_job(to, true);
    const auto size = static_cast<uint64_t>(config.batch.batch_size);
    job.draw = [=](uint64_t position) {
      if (stop_at >= 0 && position / size == static_cast<uint64_t>(stop_at)) set_interrupted(true);
      return draw_first_token(position + static_cast<uint64_t>(first_batch) * size);
    };
    train(loaded, config, job);
  }
  std::string file(const std::string& stage, const std::string& name) const {
    return read_file(folder_ / (stage + "/model/" + name));
  }

  TemporaryFolder folder_;
};

TEST_P(OptimizerState, TwoStagesAreOne) {
  run(folder_ / "start", folder_ / "whole", config(8));
  run(folder_ / "start", folder_ / "first", config(4));
  Config second = config(4);
  run(folder_ / "first/model", folder_ / "without", second, 4);
  EXPECT_TRUE(file("without", "model.safetensors") != file("whole", "model.safetensors"));
  second.starts_from_optimizer_state = true;
  run(folder_ / "first/model", folder_ / "second", second, 4);
  EXPECT_TRUE(file("second", "model.safetensors") == file("whole", "model.safetensors"));
  EXPECT_TRUE(file("second", "optimizer.safetensors") == file("whole", "optimizer.safetensors"));
  EXPECT_EQ(load_optimizer_step(folder_ / "second/model", GetParam()), 8);

  error_of(ErrorCode::Interrupted,
           [&] { run(folder_ / "first/model", folder_ / "stopped", second, 4, 1); });
  set_interrupted(false);
  run(folder_ / "first/model", folder_ / "stopped", second, 4);
  EXPECT_TRUE(file("stopped", "model.safetensors") == file("whole", "model.safetensors"));
}

TEST_P(OptimizerState, IsCarriedOverByUpcycling) {
  run(folder_ / "start", folder_ / "dense", config(4));
  convert::UpcycleConfig upcycling;
  upcycling.moe.num_experts = upcycling.decoder_moe.num_experts = 3;
  upcycling.carries_optimizer_state = true;
  convert::upcycle_folder(folder_ / "dense/model", folder_ / "sparse", upcycling);
  const auto dense = checkpoint::load_safetensors(folder_ / "dense/model/optimizer.safetensors"),
             sparse = checkpoint::load_safetensors(folder_ / "sparse/optimizer.safetensors");
  EXPECT_EQ(dense.size(), sparse.size());
  EXPECT_EQ(load_optimizer_step(folder_ / "sparse", GetParam()), 4);
  int num_experts = 0;
  for (const auto& [name, tensor] : sparse) {
    SCOPED_TRACE(name);
    EXPECT_EQ(name.find("router"), name.npos);
    const std::string infix = ".mlp.experts.";
    std::string source = name;
    if (name.find(infix) == name.npos) {
      EXPECT_EQ(testing::compare_bits(tensor, dense.at(name)), "");
      continue;
    }
    source.replace(name.find(infix), infix.size(), ".DenseReluDense.");
    for (int64_t e = 0; e < 3; ++e)
      EXPECT_EQ(testing::compare_bits(tensor[e], dense.at(source)), "") << e;
    ++num_experts;
  }
  EXPECT_GE(num_experts, 6);

  Config next = config(2);
  next.starts_from_optimizer_state = true;
  run(folder_ / "sparse", folder_ / "tuned", next);
  EXPECT_EQ(load_optimizer_step(folder_ / "tuned/model", GetParam()), 6);

  next.frozen = {"non-moe"};
  run(folder_ / "sparse", folder_ / "frozen", next);
}

TEST_P(OptimizerState, SaysWhatIsMissing) {
  Config first = config(1);
  first.starts_from_optimizer_state = true;
  expect_error(ErrorCode::NotFound, "optimizer.safetensors",
               [&] { run(folder_ / "start", folder_ / "x", first); });
  run(folder_ / "start", folder_ / "stage", config(1));
  first.optimizer.name = GetParam() == std::string("adamw") ? "adafactor" : "adamw";
  expect_error(ErrorCode::InvalidConfig, GetParam(),
               [&] { run(folder_ / "stage/model", folder_ / "y", first); });
  convert::UpcycleConfig upcycling;
  upcycling.carries_optimizer_state = true;
  expect_error(ErrorCode::NotFound, "optimizer.safetensors",
               [&] { convert::upcycle_folder(folder_ / "start", folder_ / "sparse", upcycling); });
  EXPECT_FALSE(is_folder(folder_ / "sparse"));
}

INSTANTIATE_TEST_SUITE_P(Optimizers, OptimizerState, ::testing::Values("adamw", "adafactor"));

}  // namespace
}  // namespace flanmoe::train
