// Kinds of training stages, their defaults and their validation.
#include <gtest/gtest.h>

#include <set>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/progress.h"
#include "model/accounting.h"
#include "model/folder.h"
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

TEST_F(StagesTest, TrainsAnAdapterAndTheNextStagesGoOnFromIt) {
  const std::string adapter =
      "[[stages.s.adapter.components]]\nkind = \"lora\"\nrank = 2\nsites = [\"SelfAttention.q\", "
      "\"wo\"]\n[[stages.s.adapter.components]]\nkind = \"ia3\"\n";
  const Json result =
      run_stage("run", "kind = \"tune\"\n" + adapter +
                           "[stages.on]\nkind = \"tune\"\nmodel = \"s\"\n"
                           "[stages.e]\nkind = \"evaluate\"\nmodel = \"on\"\ndata = \"" +
                           (folder_ / "tasks.jsonl") + "\"\n")
          .at("result");
  for (const char* stage : {"s", "on"}) {
    const std::string folder = folder_ / "run/stages/" + stage;
    EXPECT_TRUE(is_file(folder + "/adapter/adapter_model.safetensors"));
    EXPECT_FALSE(is_folder(folder + "/model"));
    EXPECT_TRUE(load_record(folder_ / "run", stage)->is_complete);
    EXPECT_TRUE(has_all_outputs(folder_ / "run", *load_record(folder_ / "run", stage)));
  }
  EXPECT_NE(get_file(folder_ / "run/stages/s/adapter/adapter_model.safetensors"),
            get_file(folder_ / "run/stages/on/adapter/adapter_model.safetensors"));
  const auto record = load_record(folder_ / "run", "e");
  const int64_t num_base = model::count_parameters(model::load_model_config(kGolden)).total;
  EXPECT_EQ(record->model->num_parameters,
            num_base + result.at("num_trained_parameters").get<int64_t>());
  EXPECT_EQ(record->suites.size(), 1u);

  // again: nothing is done
  const RunResult again = run({.recipe_path = folder_ / "recipe.toml", .out = folder_ / "run"});
  EXPECT_EQ(again.skipped.size(), 3u);
}

TEST_F(StagesTest, AnAdapterBringsThePapersDefaults) {
  const auto config = [&](const std::string& more) {
    put_file(folder_ / "recipe.toml", recipe_ + "[stages.s]\nkind = \"tune\"\n" + more);
    const ConfigNode resolved = load_recipe(folder_ / "recipe.toml").resolved;
    train::Config train;
    parse_config(*resolved.find("stages")->find("s")->find("train"), "train", train);
    return train;
  };
  const std::string adapter = "adapter.components = [{ kind = \"lora\" }]\n";
  const train::Config papers = config(adapter);
  EXPECT_EQ(papers.optimizer.name, "adafactor");
  EXPECT_EQ(papers.optimizer.decay_rate, 0.8);
  EXPECT_EQ(papers.schedule, train::ScheduleKind::Constant);
  EXPECT_EQ(papers.warmup_steps, 0);
  EXPECT_EQ(papers.learning_rate, 3e-4);
  EXPECT_EQ(papers.dropout_rate, 0.1);
  EXPECT_EQ(papers.logit_z_coefficient, 1e-4);
  EXPECT_EQ(papers.loss_normalisation, model::LossNormalisation::Sequences);
  EXPECT_EQ(make_train_defaults(StageKind::Tune, true).batch.batch_size, 32);
  EXPECT_EQ(config("adapter.components = []\n").learning_rate, 1e-4);
  EXPECT_EQ(config(adapter + "train.learning_rate = 0.5\n").learning_rate, 0.5);
  recipe_.insert(recipe_.find("steps = 6"), "logit_z_coefficient = 0.25\n");
  EXPECT_EQ(config(adapter).logit_z_coefficient, 0.25);
}

TEST_F(StagesTest, AWrongAdapterIsFoundBeforeAnythingRuns) {
  const auto error = [&](const std::string& component, const std::string& more = "") {
    const std::string message = error_of(ErrorCode::InvalidConfig, [&] {
      run_stage("wrong", "kind = \"tune\"\nadapter.components = [{ " + component + " }]\n" + more);
    });
    EXPECT_FALSE(is_folder(folder_ / "wrong/stages/s"));
    return message;
  };
  EXPECT_CONTAINS(error("kind = \"lorra\""), "[stages.s.adapter.components[0].kind]");
  EXPECT_CONTAINS(error("kind = \"lora\", rank = 0"), "[stages.s.adapter.components[0].rank]");
  EXPECT_CONTAINS(error("kind = \"lora\", sites = [\"SelfAttention.qq\"]"),
                  "[stages.s.adapter.components[0].sites]");
  EXPECT_CONTAINS(error("kind = \"lora\"",
                        "train.precision = \"bfloat16\"\ntrain.has_stochastic_rounding = true\n"),
                  "[stages.s.train.has_stochastic_rounding]");
  run_stage("run", "kind = \"tune\"\nadapter.components = [{ kind = \"lora\" }]\n");
  EXPECT_CONTAINS(
      error("kind = \"lora\"", "model = \"" + (folder_ / "run/stages/s/adapter") + "\"\n"),
      "is an adapter already");
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
