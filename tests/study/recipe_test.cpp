#include "study/recipe.h"

#include <gtest/gtest.h>

#include <set>

#include "base/json.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace flanmoe::study {
namespace {

// A chain of all kinds, out of order in the file.
const std::string kRecipe = R"(
seed = 3
[model.shape]
d_model = 16
[data]
pretrain = "builtin:corpus"
train = "builtin:train"
[train]
steps = 7
learning_rate = 0.5
[eval]
data = "builtin:seen, builtin:held-out"
[stages.evaluate]
kind = "evaluate"
model = "tune"
[stages.tune]
kind = "tune"
arm = "dense"
model = "pretrain"
train.steps = 9
[stages.pretrain]
kind = "pretrain"
model = "init"
[stages.init]
kind = "init"
vocabulary = "vocabulary"
[stages.vocabulary]
kind = "vocabulary"
)";

Recipe parse(const std::string& text) {
  return parse_recipe(parse_toml(text, "x.toml"), "x.toml");
}

// The recipe with one line replaced, or with lines added at its end.
std::string with(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  return text.replace(at, from.size(), to);
}

std::string config_error(const std::string& text) {
  return error_of(ErrorCode::InvalidConfig, [&] { parse(text); });
}

std::vector<std::string> order_of(const Recipe& recipe) {
  std::vector<std::string> names;
  for (const auto& stage : recipe.stages) names.push_back(stage.stage->name());
  return names;
}

int64_t steps_of(const Recipe& recipe, const std::string& stage) {
  return recipe.find(stage).stage->config().find("train")->find("steps")->integer;
}

// So that another router does not train the dense arms again.
TEST(Recipe, ADenseInitHasNothingOfTheMoeTable) {
  const std::string path = FLANMOE_SOURCE_DIR "/recipes/quickstart.toml";
  const Recipe plain = load_recipe(path, {}), other = load_recipe(path, {"moe.router=switch"});
  const auto text = [](const Recipe& recipe, const char* stage) {
    return to_toml(recipe.find(stage).stage->config());
  };
  EXPECT_EQ(text(plain, "init"), text(other, "init"));
  EXPECT_NE(text(plain, "upcycle"), text(other, "upcycle"));
  EXPECT_NE(text(other, "upcycle").find("router = \"switch\""), std::string::npos);
}

TEST(Recipe, PutsEveryStageBehindThoseItNeeds) {
  const Recipe recipe = parse(kRecipe);
  EXPECT_EQ(order_of(recipe),
            (std::vector<std::string>{"vocabulary", "init", "pretrain", "tune", "evaluate"}));
  EXPECT_EQ(recipe.file_order.front(), "evaluate");
}

TEST(Recipe, ATrainTableOfAStageWinsOverTheTopLevelOne) {
  const Recipe recipe = parse(kRecipe);
  EXPECT_EQ(steps_of(recipe, "pretrain"), 7);
  EXPECT_EQ(steps_of(recipe, "tune"), 9);
  const ConfigNode config = recipe.find("tune").stage->config();
  EXPECT_EQ(config.find("train")->find("learning_rate")->real, 0.5);
  EXPECT_EQ(config.find("train")->find("seed")->integer, 3);
}

TEST(Recipe, AnArmIsInheritedFromTheModelThatIsEvaluated) {
  EXPECT_EQ(parse(kRecipe).find("evaluate").stage->arm, "dense");
}

TEST(Recipe, TheResolvedRecipeParsesToItself) {
  const Recipe recipe = parse(kRecipe);
  const Recipe again = parse(to_toml(recipe.resolved));
  EXPECT_EQ(to_json(again.resolved), to_json(recipe.resolved));
  EXPECT_EQ(again.file_order, recipe.file_order);
}

TEST(Recipe, AnUnknownKeyIsAnErrorWithTheNearestOne) {
  const std::string top = config_error(with(kRecipe, "[model.shape]", "sead = 1\n[model.shape]"));
  EXPECT_CONTAINS(top, "sead");
  EXPECT_CONTAINS(top, "'seed'");
  const std::string below = config_error(with(kRecipe, "train.steps = 9", "train.stepz = 9"));
  EXPECT_CONTAINS(below, "stages.tune.train");
  EXPECT_CONTAINS(below, "'steps'");
  EXPECT_CONTAINS(below, "x.toml:");
  EXPECT_CONTAINS(config_error(with(kRecipe, "kind = \"init\"", "kind = \"init\"\nevery = 2")),
                  "every");
}

TEST(Recipe, AnUnknownStageIsAnErrorWithTheNearestOne) {
  const std::string error =
      config_error(with(kRecipe, "model = \"pretrain\"", "model = \"pretrian\""));
  EXPECT_CONTAINS(error, "[stages.tune.model]");
  EXPECT_CONTAINS(error, "did you mean 'pretrain'");
}

TEST(Recipe, AStageOfTheWrongKindIsAnError) {
  EXPECT_CONTAINS(config_error(with(kRecipe, "model = \"pretrain\"", "model = \"vocabulary\"")),
                  "'vocabulary' is a stage of kind vocabulary");
  EXPECT_CONTAINS(
      config_error(with(kRecipe, "vocabulary = \"vocabulary\"", "vocabulary = \"tune\"")),
      "makes a vocabulary");
  EXPECT_CONTAINS(config_error(with(kRecipe, "train.steps = 9", "match_train_flops = \"init\"")),
                  "one that trains");
}

TEST(Recipe, ACycleIsAnErrorThatNamesIt) {
  EXPECT_CONTAINS(config_error(with(kRecipe, "model = \"init\"", "model = \"tune\"")),
                  "tune -> pretrain -> tune");
}

TEST(Recipe, AMissingKeyIsAnErrorThatSaysHowToGiveIt) {
  EXPECT_CONTAINS(config_error(with(kRecipe, "seed = 3", "")), "[seed] missing");
  EXPECT_CONTAINS(config_error(with(kRecipe, "kind = \"init\"", "")), "[stages.init.kind] missing");
  EXPECT_CONTAINS(config_error(with(kRecipe, "vocabulary = \"vocabulary\"", "")),
                  "[stages.init.vocabulary] missing");
  EXPECT_CONTAINS(config_error(with(kRecipe, "train = \"builtin:train\"", "")),
                  "--set data.train=PATH");
  EXPECT_CONTAINS(config_error(with(kRecipe, "data = \"builtin:seen, builtin:held-out\"", "")),
                  "--set eval.data=PATH");
  EXPECT_CONTAINS(config_error(with(kRecipe, "model = \"init\"", "")),
                  "--set model.path=HF_FOLDER");
  EXPECT_CONTAINS(config_error("seed = 1"), "[stages] missing");
}

TEST(Recipe, AnUnknownKindIsAnErrorWithTheNearestOne) {
  EXPECT_CONTAINS(config_error(with(kRecipe, "kind = \"pretrain\"", "kind = \"pretrian\"")),
                  "did you mean 'pretrain'");
}

TEST(Recipe, AValueOfTheWrongTypeIsAnErrorWithItsPlace) {
  EXPECT_CONTAINS(config_error(with(kRecipe, "steps = 7", "steps = \"many\"")), "train.steps");
  EXPECT_CONTAINS(config_error(with(kRecipe, "seed = 3", "seed = \"x\"")), "seed");
}

TEST(Recipe, TwoEvaluationsOfOneArmOnOneSuiteAreAnError) {
  const std::string twice =
      kRecipe + "[stages.again]\nkind = \"evaluate\"\nmodel = \"tune\"\ndata = \"builtin:seen\"\n";
  EXPECT_CONTAINS(config_error(twice), "both evaluate arm 'dense' on builtin:seen");
  EXPECT_NO_THROW(parse(twice + "arm = \"other\"\n"));
}

TEST(Recipe, AModelFolderThatIsNotThereIsAnError) {
  EXPECT_CONTAINS(
      error_of(ErrorCode::NotFound,
               [] { parse(with(kRecipe, "model = \"init\"", "model = \"./no/such\"")); }),
      "./no/such");
}

TEST(Recipe, AnIncludedFileGivesWhatTheOuterOneLeavesOut) {
  const TemporaryFolder folder;
  put_file(folder / "base.toml", kRecipe);
  put_file(folder / "middle.toml", "include = \"base.toml\"\n[stages.tune.train]\nsteps = 11\n");
  put_file(folder / "outer.toml", "include = \"middle.toml\"\nseed = 4\n");
  const Recipe recipe = load_recipe(folder / "outer.toml", {"stages.pretrain.train.steps=12"});
  EXPECT_EQ(recipe.seed, 4);
  EXPECT_EQ(recipe.name, "outer");
  EXPECT_EQ(steps_of(recipe, "tune"), 11);
  EXPECT_EQ(steps_of(recipe, "pretrain"), 12);
}

TEST(Recipe, AnIncludeThatLeadsBackOrNowhereIsAnError) {
  const TemporaryFolder folder;
  put_file(folder / "a.toml", "include = \"b.toml\"\n");
  put_file(folder / "b.toml", "include = \"a.toml\"\n");
  put_file(folder / "c.toml", "include = \"d.toml\"\n");
  EXPECT_CONTAINS(error_of(ErrorCode::InvalidConfig, [&] { load_recipe(folder / "a.toml"); }),
                  "includes itself");
  EXPECT_CONTAINS(error_of(ErrorCode::NotFound, [&] { load_recipe(folder / "c.toml"); }), "d.toml");
  EXPECT_CONTAINS(error_of(ErrorCode::NotFound, [&] { load_recipe(folder / "z.toml"); }), "z.toml");
}

TEST(Recipe, AnOverrideWithAnUnknownKeyIsAnError) {
  const TemporaryFolder folder;
  put_file(folder / "a.toml", kRecipe);
  EXPECT_CONTAINS(error_of(ErrorCode::InvalidConfig,
                           [&] { load_recipe(folder / "a.toml", {"train.learning_rat=1"}); }),
                  "learning_rate");
}

TEST(Recipe, TheShippedRecipesParse) {
  const std::string folder = FLANMOE_SOURCE_DIR "/recipes/";
  const Recipe quickstart = load_recipe(folder + "quickstart.toml");
  std::set<std::string> arms;
  for (const auto& stage : quickstart.stages)
    if (stage.stage->output() == StageOutput::Evaluation) arms.insert(stage.stage->arm);
  EXPECT_EQ(arms, (std::set<std::string>{"dense", "moe", "dense-flops"}));
  const std::string missing =
      error_of(ErrorCode::InvalidConfig, [&] { load_recipe(folder + "finetune.toml"); });
  EXPECT_CONTAINS(missing, "[model.path] missing");
  const Recipe finetune = load_recipe(folder + "finetune.toml",
                                      {"model.path=.", "data.train=x.jsonl", "eval.data=y.jsonl"});
  EXPECT_EQ(finetune.stages.size(), 5u);
}

}  // namespace
}  // namespace flanmoe::study
