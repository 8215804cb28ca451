// Kinds of training stages, their defaults and their validation.
#include <gtest/gtest.h>

#include <set>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/progress.h"
#include "study/plan.h"
#include "study/recipe.h"
#include "study/run.h"
#include "study/stages/stage_defaults.h"
#include "study/stages/task_draw.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace flanmoe::study {
namespace {

const std::string kGolden = std::string(FLANMOE_SOURCE_DIR) + "/tests/golden/t5-v1_1-tiny";

// Two tasks, the first with choices.
std::string make_tasks() {
  std::string lines;
  for (int i = 0; i < 60; ++i) {
    const bool is_even = i % 2 == 0;
    lines += Json{{"id", std::to_string(i)},
                  {"task", "parity"},
                  {"inputs", "Is " + std::to_string(i) + " even?"},
                  {"targets", is_even ? "yes" : "no"},
                  {"choices", {"yes", "no"}},
                  {"answer_index", is_even ? 0 : 1}}
                 .dump() +
             "\n";
  }
  for (int i = 0; i < 7; ++i)
    lines += Json{{"id", "c" + std::to_string(i)},
                  {"task", "copy"},
                  {"inputs", "Say " + std::to_string(i)},
                  {"targets", std::to_string(i)}}
                 .dump() +
             "\n";
  return lines;
}

class StagesTest : public testing::Test {
 protected:
  StagesTest() {
    disable_progress();
    put_file(folder_ / "tasks.jsonl", make_tasks());
    recipe_ = "seed = 5\n[model]\npath = \"" + kGolden + "\"\n[data]\ntrain = \"" +
              (folder_ / "tasks.jsonl") +
              "\"\npretrain = \"builtin:corpus\"\n"
              "[train]\nsteps = 6\nlog_every = 2\ncheckpoint_every = 2\n"
              "batch.batch_size = 4\nbatch.input_length = 32\nbatch.target_length = 24\n";
  }
  Json run_stage(const std::string& name, const std::string& stage,
                 const std::vector<std::string>& overrides = {}) {
    put_file(folder_ / "recipe.toml", recipe_ + "[stages.s]\n" + stage);
    run({.recipe_path = folder_ / "recipe.toml", .overrides = overrides, .out = folder_ / name});
    return load_json(folder_ / (name + "/stages/s/result.json"));
  }
  std::string weights(const std::string& name) const {
    return get_file(folder_ / (name + "/stages/s/model/model.safetensors"));
  }
  TemporaryFolder folder_;
  std::string recipe_;
};

TEST_F(StagesTest, EveryKindHasItsPapersDefaultsUnderWhatTheRecipeSays) {
  const auto config = [&](const std::string& kind, const std::string& more = "") {
    put_file(folder_ / "recipe.toml", recipe_ + "[stages.s]\nkind = \"" + kind + "\"\n" + more);
    const ConfigNode resolved = load_recipe(folder_ / "recipe.toml").resolved;
    train::Config train;
    parse_config(*resolved.find("stages")->find("s")->find("train"), "train", train);
    return train;
  };
  EXPECT_EQ(config("tune").learning_rate, 1e-4);
  EXPECT_EQ(config("tune").dropout_rate, 0.05);
  EXPECT_EQ(config("tune").expert_dropout_rate, 0.2);
  EXPECT_EQ(config("tune").batch.batch_size, 4);  // the recipe's
  EXPECT_EQ(config("tune").steps, 6);
  EXPECT_EQ(config("tune").seed, 5);
  EXPECT_EQ(make_train_defaults(StageKind::Finetune).batch.batch_size, 128);
  EXPECT_EQ(config("finetune", "task = \"parity\"\ntrain.dropout_rate = 0.3\n").dropout_rate, 0.3);
  EXPECT_EQ(config("adapt").dropout_rate, 0.0);
  recipe_.insert(recipe_.find("steps = 6"), "learning_rate = 0.02\ndropout_rate = 0.15\n");
  EXPECT_EQ(config("tune").learning_rate, 0.02);
  EXPECT_EQ(config("tune").dropout_rate, 0.15);
  EXPECT_EQ(config("tune", "train.learning_rate = 0.5\n").learning_rate, 0.5);
}

TEST_F(StagesTest, FinetunesOnOneTaskAndKeepsSomeOfItForValidation) {
  const std::string stage = "kind = \"finetune\"\ntask = \"parity\"\n";
  const Json result =
      run_stage("run", stage + "train.evaluate_every = 3\nnum_validation_examples = 5\n");
  const Json evaluation = result.at("result").at("evaluation");
  EXPECT_TRUE(evaluation.contains("loss") && evaluation.contains("accuracy"));
  EXPECT_EQ(result.at("result").at("ended_by"), "steps");

  const TaskSplit split = open_task(folder_ / "tasks.jsonl", "parity", 5, 5);
  EXPECT_EQ(split.train.size(), 55u);
  EXPECT_EQ(split.validation.size(), 5u);
  std::set<uint64_t> all(split.train.begin(), split.train.end());
  all.insert(split.validation.begin(), split.validation.end());
  EXPECT_EQ(all.size(), 60u);
  EXPECT_EQ(open_task(folder_ / "tasks.jsonl", "parity", 500, 5).validation.size(), 6u);

  EXPECT_CONTAINS(
      error_of(ErrorCode::InvalidArgument, [&] { run_stage("several", "kind = \"finetune\"\n"); }),
      "has 2 tasks, expected one, or the name of one of them (one of: parity, copy)");
  EXPECT_CONTAINS(error_of(ErrorCode::NotFound,
                           [&] { run_stage("typo", "kind = \"finetune\"\ntask = \"partiy\"\n"); }),
                  "[stages.s.task] ");
  EXPECT_CONTAINS(error_of(ErrorCode::InvalidArgument,
                           [&] {
                             run_stage("small",
                                       "kind = \"finetune\"\ntask = \"copy\"\n"
                                       "train.evaluate_every = 3\n");
                           }),
                  "no validation examples");
}

TEST_F(StagesTest, ValidationDataDecidesWhatIsEvaluatedAndChangesNoWeights) {
  const std::string tune = "kind = \"tune\"\n";
  run_stage("plain", tune);
  EXPECT_CONTAINS(error_of(ErrorCode::InvalidConfig,
                           [&] { run_stage("none", tune + "train.evaluate_every = 2\n"); }),
                  "[stages.s.train.evaluate_every] is 2, but there is nothing to evaluate on");
  const Json result = run_stage("watched", tune,
                                {"data.validation=" + (folder_ / "tasks.jsonl"),
                                 "data.num_validation_examples=3", "train.evaluate_every=2"});
  EXPECT_TRUE(result.at("result").at("evaluation").contains("accuracy"));
  EXPECT_EQ(weights("watched"), weights("plain"));
}

TEST_F(StagesTest, AdaptsByPrefixLmAndValidatesOnDocuments) {
  const std::string adapt = "kind = \"adapt\"\n";
  const Json result =
      run_stage("adapt", adapt +
                             "validation = \"builtin:corpus\"\nnum_validation_examples = 4\n"
                             "train.evaluate_every = 3\n");
  EXPECT_TRUE(result.at("result").at("evaluation").contains("loss"));
  run_stage("prefix", "kind = \"pretrain\"\nobjective = \"prefix-lm\"\n");
  EXPECT_EQ(weights("adapt"), weights("prefix"));
  run_stage("spans", "kind = \"pretrain\"\n");
  EXPECT_NE(weights("spans"), weights("prefix"));
}

TEST_F(StagesTest, EndsAtTokensOrPatience) {
  const Json tokens = run_stage("tokens", "kind = \"tune\"\ntrain.steps = 0\ntrain.tokens = 50\n");
  EXPECT_EQ(tokens.at("result").at("ended_by"), "tokens");
  const Json patience =
      run_stage("patience",
                "kind = \"finetune\"\ntask = \"parity\"\ntrain.learning_rate = 0\n"
                "train.steps = 50\ntrain.evaluate_every = 2\ntrain.patience = 2\n");
  EXPECT_EQ(patience.at("result").at("ended_by"), "patience");
  EXPECT_EQ(patience.at("result").at("steps"), 6);
}

}  // namespace
}  // namespace flanmoe::study
