#include "study/sweep.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "study/recipe.h"
#include "support/expect_error.h"

namespace flanmoe::study {
namespace {

ConfigNode expand(const std::string& text) {
  ConfigNode stages = parse_toml(text, "x.toml");
  expand_sweeps(stages);
  return stages;
}

std::vector<std::string> names_of(const ConfigNode& stages) {
  std::vector<std::string> names;
  for (const auto& [name, table] : stages.entries) names.push_back(name);
  return names;
}

std::string text_at(const ConfigNode& stages, const std::string& stage, const std::string& key) {
  const ConfigNode* table = stages.find(stage);
  const ConfigNode* value = table ? table->find(key) : nullptr;
  return value ? value->text : "(none)";
}

using Names = std::vector<std::string>;

TEST(Sweep, LeavesOtherStagesAlone) {
  const std::string text = R"(
[tune]
kind = "tune"
model = "init"
train.steps = 3
[evaluate]
model = "tune"
)";
  EXPECT_EQ(to_json(expand(text)), to_json(parse_toml(text, "x.toml")));
}

TEST(Sweep, ArmsAreLaidOverTheStage) {
  const ConfigNode stages = expand(R"(
[tune]
kind = "tune"
train = { steps = 3, learning_rate = 0.5 }
arms.slow.train.learning_rate = 0.1
arms."two words".train.steps = 4
)");
  EXPECT_EQ(names_of(stages), (Names{"tune-slow", "tune-two_words"}));
  EXPECT_EQ(text_at(stages, "tune-slow", "arm"), "slow");
  EXPECT_EQ(text_at(stages, "tune-two_words", "arm"), "two words");
  EXPECT_EQ(stages.find("tune-slow")->find("train")->find("learning_rate")->real, 0.1);
  EXPECT_EQ(stages.find("tune-slow")->find("train")->find("steps")->integer, 3);
  EXPECT_EQ(stages.find("tune-two_words")->find("train")->find("steps")->integer, 4);
  EXPECT_EQ(stages.find("tune-slow")->find("arms"), nullptr);
}

TEST(Sweep, AGridCrossesItsValuesAndTheArms) {
  const ConfigNode stages = expand(R"(
[tune]
kind = "tune"
arms.a.train.steps = 1
arms.b.train.steps = 2
grid.train.learning_rate = [0.1, 0.25]
grid."components[1].rank" = [4]
components = [{ rank = 1 }, { rank = 2 }]
)");
  EXPECT_EQ(names_of(stages),
            (Names{"tune-a-learning_rate-0_1-rank-4", "tune-a-learning_rate-0_25-rank-4",
                   "tune-b-learning_rate-0_1-rank-4", "tune-b-learning_rate-0_25-rank-4"}));
  const std::string last = "tune-b-learning_rate-0_25-rank-4";
  EXPECT_EQ(text_at(stages, last, "arm"), "b, learning_rate 0.25, rank 4");
  const ConfigNode& table = *stages.find(last);
  EXPECT_EQ(table.find("train")->find("learning_rate")->real, 0.25);
  EXPECT_EQ(table.find("components")->elements[0].find("rank")->integer, 1);
  EXPECT_EQ(table.find("components")->elements[1].find("rank")->integer, 4);
}

TEST(Sweep, SeedsGoWhereTheKindKeepsIts) {
  const ConfigNode stages = expand(R"(
[init]
kind = "init"
seeds = [5]
[tune]
kind = "tune"
seeds = [1, 2]
)");
  EXPECT_EQ(names_of(stages), (Names{"init-seed-5", "tune-seed-1", "tune-seed-2"}));
  EXPECT_EQ(stages.find("init-seed-5")->find("seed")->integer, 5);
  EXPECT_EQ(stages.find("tune-seed-2")->find("train")->find("seed")->integer, 2);
  EXPECT_EQ(text_at(stages, "tune-seed-2", "replicate"), "2");
  EXPECT_EQ(text_at(stages, "tune-seed-2", "arm"), "(none)");
}

// Whatever stands first in the file.
TEST(Sweep, StagesFollowThoseTheyTakeFrom) {
  const ConfigNode stages = expand(R"(
[evaluate]
kind = "evaluate"
model = "tune"
[tune]
kind = "tune"
model = "pretrain"
seeds = [1, 2]
arms.a.train.steps = 1
arms.b.train.steps = 2
[pretrain]
kind = "pretrain"
model = "init"
[init]
kind = "init"
arms.small.shape.d_model = 8
arms.large.shape.d_model = 16
)");
  EXPECT_EQ(names_of(stages).size(), 8u + 8u + 2u + 2u);
  EXPECT_EQ(text_at(stages, "pretrain-small", "model"), "init-small");
  EXPECT_EQ(text_at(stages, "pretrain-small", "arm"), "(none)");  // that of its model
  EXPECT_EQ(text_at(stages, "tune-small-b-seed-2", "model"), "pretrain-small");
  EXPECT_EQ(text_at(stages, "tune-small-b-seed-2", "arm"), "small, b");
  EXPECT_EQ(text_at(stages, "evaluate-large-a-seed-1", "model"), "tune-large-a-seed-1");
  EXPECT_EQ(text_at(stages, "evaluate-large-a-seed-1", "replicate"), "1");
}

TEST(Sweep, TwoInputsMeetInEqualChoices) {
  const ConfigNode stages = expand(R"(
[tune]
kind = "tune"
seeds = [1, 2]
[upcycle]
kind = "upcycle"
model = "tune"
arms.x.every = 1
arms.y.every = 2
[match]
kind = "tune"
model = "upcycle"
match_train_flops = "tune"
)");
  EXPECT_EQ(text_at(stages, "match-seed-2-y", "model"), "upcycle-seed-2-y");
  EXPECT_EQ(text_at(stages, "match-seed-2-y", "match_train_flops"), "tune-seed-2");
  EXPECT_EQ(names_of(stages).size(), 2u + 4u + 4u);
}

TEST(Sweep, AStageMayTakeOneVersionByItsName) {
  const ConfigNode stages = expand(R"(
[tune]
kind = "tune"
seeds = [1, 2]
[routing]
kind = "routing"
model = "tune-seed-2"
)");
  EXPECT_EQ(names_of(stages), (Names{"tune-seed-1", "tune-seed-2", "routing"}));
  EXPECT_EQ(text_at(stages, "routing", "model"), "tune-seed-2");
}

TEST(Sweep, AnArmMayTakeAnotherModel) {
  const ConfigNode stages = expand(R"(
[tune]
kind = "tune"
model = "one"
arms.x.model = "two"
arms.y = {}
[one]
kind = "init"
[two]
kind = "init"
seeds = [3]
)");
  EXPECT_EQ(text_at(stages, "tune-seed-3-x", "model"), "two-seed-3");
  EXPECT_EQ(text_at(stages, "tune-y", "model"), "one");
}

TEST(Sweep, SaysWhatIsWrong) {
  const auto error = [](const std::string& lines) {
    return error_of(ErrorCode::InvalidConfig, [&] { expand("[tune]\nkind = \"tune\"\n" + lines); });
  };
  EXPECT_CONTAINS(error("seeds = []"), "[stages.tune.seeds] expected a list");
  EXPECT_CONTAINS(error("seeds = [1, 1]"), "names 1 twice");
  EXPECT_CONTAINS(error("seeds = [0.5]"), "list of integers");
  EXPECT_CONTAINS(error("seeds = 3"), "x.toml:3");
  EXPECT_CONTAINS(error("arms = 3"), "[stages.tune.arms]");
  EXPECT_CONTAINS(error("arms.a = 3"), "[stages.tune.arms.a]");
  EXPECT_CONTAINS(error("grid = 3"), "[stages.tune.grid]");
  EXPECT_CONTAINS(error("grid.train.steps = 3"), "[stages.tune.grid.train.steps]");
  EXPECT_CONTAINS(error("grid.train.steps = [[1]]"), "[stages.tune.grid.train.steps]");
  EXPECT_CONTAINS(error("grid.\"kind.x\" = [1]"), "no table");
  EXPECT_CONTAINS(error("grid.\"x[2].y\" = [1]"), "no element 2");
  EXPECT_CONTAINS(error("arms.\"a b\" = {}\narms.a_b = {}"), "'tune-a_b'");
  EXPECT_CONTAINS(error("seeds = [1]\n[tune-seed-1]\nkind = \"tune\""), "'tune-seed-1'");
}

const std::string kRecipe = R"(
seed = 1
[model]
path = "/"
[data]
train = "builtin:easy"
[eval]
data = "builtin:easy-seen"
[stages.tune]
kind = "tune"
seeds = [1, 2]
arms.a.train.steps = 5
arms.b.train.steps = 6
[stages.evaluate]
kind = "evaluate"
model = "tune"
)";

Recipe parse(const std::string& text) {
  return parse_recipe(parse_toml(text, "x.toml"), "x.toml");
}

TEST(Sweep, OfARecipeGivesStagesWithArmsAndSeeds) {
  const Recipe recipe = parse(kRecipe);
  EXPECT_EQ(recipe.stages.size(), 8u);
  const Stage& stage = *recipe.find("evaluate-b-seed-2").stage;
  EXPECT_EQ(stage.arm, "b");
  EXPECT_EQ(stage.replicate, "2");
}

TEST(Sweep, TheResolvedRecipeParsesToItself) {
  const Recipe recipe = parse(kRecipe);
  const Recipe again = parse(to_toml(recipe.resolved));
  EXPECT_EQ(to_json(again.resolved), to_json(recipe.resolved));
  EXPECT_EQ(again.file_order, recipe.file_order);
}

TEST(Sweep, AMistypedKeyOfAnArmIsAnError) {
  std::string text = kRecipe;
  text.replace(text.find("train.steps = 6"), 15, "train.stepz = 6");
  EXPECT_CONTAINS(error_of(ErrorCode::InvalidConfig, [&] { parse(text); }), "stepz");
}

TEST(Sweep, ACycleIsStillNamed) {
  std::string text = kRecipe;
  text.replace(text.find("seeds = [1, 2]"), 14, "model = \"tune-a\"");
  EXPECT_CONTAINS(error_of(ErrorCode::InvalidConfig, [&] { parse(text); }), "waits for itself");
}

TEST(Comparisons, NameArmsThatAreEvaluated) {
  const auto with = [](const std::string& line) { return line + "\n" + kRecipe; };
  const Recipe recipe = parse(with("comparisons = [\"b against a\"]"));
  ASSERT_EQ(recipe.comparisons.size(), 1u);
  EXPECT_EQ(recipe.comparisons[0], (std::pair<std::string, std::string>("b", "a")));
  const auto error = [&](const std::string& line) {
    return error_of(ErrorCode::InvalidConfig, [&] { parse(with(line)); });
  };
  EXPECT_CONTAINS(error("comparisons = [\"b, a\"]"), "expected 'ARM against ARM'");
  EXPECT_CONTAINS(error("comparisons = [\"b against aa\"]"), "no arm 'aa'");
}

}  // namespace
}  // namespace flanmoe::study
