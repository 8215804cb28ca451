#include "study/plan.h"

#include <gtest/gtest.h>

#include <map>

#include "data/builtin.h"
#include "study/data_spec.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace flanmoe::study {
namespace {

class PlanTest : public testing::Test {
 protected:
  PlanTest() {
    put_file(folder_ / "model/config.json", "{}");
    put_file(folder_ / "model/model.safetensors", "weights");
    put_file(folder_ / "train.jsonl", "{\"inputs\": \"a\", \"targets\": \"b\"}\n");
    put_file(folder_ / "eval.jsonl", "{\"inputs\": \"c\", \"targets\": \"d\"}\n");
    put_file(folder_ / "recipe.toml", R"(
seed = 1
[stages.dense]
kind = "tune"
arm = "dense"
[stages.upcycle]
kind = "upcycle"
arm = "moe"
[stages.moe]
kind = "tune"
model = "upcycle"
[stages.flops]
kind = "tune"
arm = "flops"
match_train_flops = "moe"
[stages.evaluate]
kind = "evaluate"
model = "moe"
)");
  }

  std::map<std::string, std::string> keys(std::vector<std::string> overrides = {}) const {
    for (const std::string setting :
         {"model.path=model", "data.train=train.jsonl", "eval.data=eval.jsonl"})
      overrides.insert(overrides.begin(), setting.substr(0, setting.find('=') + 1) +
                                              (folder_ / setting.substr(setting.find('=') + 1)));
    const Recipe recipe = load_recipe(folder_ / "recipe.toml", overrides);
    std::map<std::string, std::string> result;
    for (const auto& stage : make_plan(recipe)) result[stage.stage->stage->name()] = stage.key;
    return result;
  }

  // Names of the stages whose keys are not those of `before`.
  static std::vector<std::string> changed(const std::map<std::string, std::string>& before,
                                          const std::map<std::string, std::string>& after) {
    std::vector<std::string> names;
    for (const auto& [name, key] : after)
      if (before.at(name) != key) names.push_back(name);
    return names;
  }

  using Names = std::vector<std::string>;
  TemporaryFolder folder_;
};

TEST_F(PlanTest, KeysAreTheSameTwice) {
  EXPECT_EQ(keys(), keys());
}

TEST_F(PlanTest, ASettingChangesItsStageAndThoseBehindIt) {
  const auto before = keys();
  EXPECT_EQ(changed(before, keys({"stages.dense.train.steps=5"})), Names{"dense"});
  EXPECT_EQ(changed(before, keys({"stages.moe.train.steps=5"})),
            (Names{"evaluate", "flops", "moe"}));
  EXPECT_EQ(changed(before, keys({"stages.upcycle.moe.num_experts=4"})),
            (Names{"evaluate", "flops", "moe", "upcycle"}));
  EXPECT_EQ(changed(before, keys({"eval.options.num_shots=2"})), Names{"evaluate"});
  EXPECT_EQ(changed(before, keys({"seed=2"})).size(), 5u);
}

TEST_F(PlanTest, LabelsAndCheckpointsChangeNoKey) {
  EXPECT_EQ(keys(), keys({"stages.dense.arm=other", "train.checkpoint_every=7",
                          "train.checkpoint_every_s=60", "train.keep_last=1", "train.keep_every=5",
                          "train.writes_tensorboard=false", "description=x", "name=y"}));
}

TEST_F(PlanTest, AnInputsContentChangesTheKeyAndItsDateDoesNot) {
  const auto before = keys();
  put_file(folder_ / "train.jsonl", "{\"inputs\": \"a\", \"targets\": \"b\"}\n");
  EXPECT_EQ(before, keys());
  put_file(folder_ / "train.jsonl", "{\"inputs\": \"a\", \"targets\": \"c\"}\n");
  EXPECT_EQ(changed(before, keys()), (Names{"dense", "evaluate", "flops", "moe"}));
}

TEST_F(PlanTest, AModelsWeightsChangeTheKeyAndANoteBesideThemDoesNot) {
  const auto before = keys();
  put_file(folder_ / "model/README.md", "a note");
  EXPECT_EQ(before, keys());
  put_file(folder_ / "model/model.safetensors", "other weights");
  EXPECT_EQ(changed(before, keys()).size(), 5u);
}

TEST_F(PlanTest, AMissingFileIsNamedWithItsKey) {
  const std::string error =
      error_of(ErrorCode::NotFound, [&] { keys({"data.train=/no/such.jsonl"}); });
  EXPECT_CONTAINS(error, "[data.train]");
  EXPECT_CONTAINS(error, "/no/such.jsonl");
}

TEST_F(PlanTest, TheHeldOutClusterIsNeverTrainedOn) {
  std::string held_out;
  for (const auto& task : data::builtin::tasks())
    if (task.is_held_out) held_out = task.name;
  EXPECT_CONTAINS(
      error_of(ErrorCode::InvalidConfig, [&] { keys({"data.train=builtin:" + held_out}); }),
      "held-out");
}

TEST_F(PlanTest, ImpossibleSettingsAreFoundBeforeAnythingRuns) {
  EXPECT_CONTAINS(
      error_of(ErrorCode::InvalidConfig, [&] { keys({"stages.moe.train.frozen=[\"gates\"]"}); }),
      "stages.moe.train.frozen] unknown set of parameters 'gates'");
  EXPECT_CONTAINS(error_of(ErrorCode::InvalidConfig, [&] { keys({"stages.moe.train.steps=-1"}); }),
                  "[stages.moe.train] steps is -1");
  EXPECT_CONTAINS(
      error_of(ErrorCode::InvalidConfig, [&] { keys({"stages.flops.train.train_flops=1e9"}); }),
      "match_train_flops");
  EXPECT_CONTAINS(error_of(ErrorCode::NotFound, [&] { keys({"eval.data=builtin:sean"}); }), "seen");
}

TEST(DataSpec, IsSplitAtCommas) {
  EXPECT_EQ(split_specs(" a, b ,,c"), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(split_specs(" , ").empty());
}

TEST(DataSpec, HasATitleAndAFileName) {
  EXPECT_EQ(title_of_spec("builtin:held-out"), "held-out clusters");
  EXPECT_EQ(title_of_spec("x/arc.jsonl.gz"), "arc");
  EXPECT_EQ(title_of_spec("x/folder/"), "folder");
  EXPECT_EQ(slug_of_spec("x/a b.jsonl"), "a-b");
}

}  // namespace
}  // namespace flanmoe::study
