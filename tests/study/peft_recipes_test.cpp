// The recipes of recipes/peft/ stand for what docs/studies.md says.
#include <gtest/gtest.h>

#include <set>

#include "study/recipe.h"

namespace flanmoe::study {
namespace {

struct Expected {
  const char* file;
  size_t num_trainings;  // of adapters and of full finetuning
  size_t num_arms;       // that are evaluated
};

class PeftRecipes : public ::testing::TestWithParam<Expected> {};

TEST_P(PeftRecipes, HaveTheirArms) {
  const std::string path = std::string(FLANMOE_SOURCE_DIR "/recipes/peft/") + GetParam().file;
  const Recipe recipe = load_recipe(path, {"model.path=/"});
  size_t num_trainings = 0;
  std::set<std::string> arms;
  for (const auto& [stage, inputs] : recipe.stages) {
    num_trainings += stage->kind() == "tune" ? 1 : 0;
    if (stage->kind() == "evaluate") arms.insert(stage->arm);
  }
  EXPECT_EQ(num_trainings, GetParam().num_trainings);
  EXPECT_EQ(arms.size(), GetParam().num_arms);
}

INSTANTIATE_TEST_SUITE_P(
    All, PeftRecipes,
    ::testing::Values(Expected{"base.toml", 1, 2}, Expected{"experts.toml", 36, 13},
                      Expected{"size.toml", 45, 15}, Expected{"routing.toml", 12, 4},
                      Expected{"router_input.toml", 18, 6}, Expected{"sensitivity.toml", 21, 7},
                      Expected{"specialisation.toml", 3, 1}),
    [](const auto& test) {
      const std::string file = test.param.file;
      return file.substr(0, file.size() - 5);
    });

}  // namespace
}  // namespace flanmoe::study
