#include "eval/task_routing.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/json.h"
#include "eval/two_tasks.h"
#include "support/expect_error.h"

namespace flanmoe::eval {
namespace {

TEST(TaskInformation, IsZeroWhereTasksAreAlike) {
  EXPECT_NEAR(task_information({{0.7, 0.3}, {0.7, 0.3}, {1.4, 0.6}}), 0, 1e-12);
  EXPECT_EQ(task_information({}), 0);
}

TEST(TaskInformation, IsTheLogOfTheTasksWhereEachHasItsExpert) {
  EXPECT_NEAR(task_information({{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}), std::log(3.0), 1e-12);
}

// By the definition of mutual information, from the joint distribution.
TEST(TaskInformation, IsMutualInformation) {
  const std::vector<std::vector<double>> weights = {{0.5, 0.2, 0.3}, {0.1, 0.6, 0.3}};
  double information = 0;
  for (const auto& shares : weights)
    for (size_t e = 0; e < 3; ++e)
      information += shares[e] / 2 * std::log(shares[e] / ((weights[0][e] + weights[1][e]) / 2));
  EXPECT_NEAR(task_information(weights), information, 1e-12);
}

TEST(TaskRouting, JsonComesBack) {
  SuiteRouting routing{"suite", "model", {}};
  for (const std::string task : {"one", "two"})
    routing.tasks.push_back({task, "c", 5, {{"a", 7, {0.25, 0.75}}, {"b", 8, {0.5, 0.25, 0.25}}}});
  const Json json = to_json(routing);
  EXPECT_EQ(json["sites"]["b"]["tasks"]["two"]["weights"][0], 0.5);
  EXPECT_EQ(json["sites"]["a"]["task_information"], 0.0);
  EXPECT_EQ(to_json(parse_routing(json, "x.json")), json);
  expect_error(ErrorCode::CorruptFile, "x.json", [] {
    parse_routing(Json{{"suite", 1}}, "x.json");
  });
}

const model::LoadedModel& golden() {
  static const model::LoadedModel instance = model::load_model_with_tokenizer(
      std::string(FLANMOE_SOURCE_DIR) + "/tests/golden/switch-tiny");
  return instance;
}

// The decoder reads the target shifted by one: as many tokens as the target has with </s>.
TEST(TaskRouting, OfASparseModelIsTheShareOfItsAssignments) {
  Config one_by_one;  // this model routes padding too; so there is none
  one_by_one.max_batch_tokens = 1;
  const SuiteRouting routing =
      measure_routing(golden(), two_tasks(), {"/layer/"}, one_by_one, at::kFloat);
  ASSERT_EQ(routing.tasks.size(), 2u);
  for (const TaskRouting& task : routing.tasks) {
    EXPECT_EQ(task.num_examples, 3);
    ASSERT_FALSE(task.sites.empty());
    const auto& tokenizer = *golden().tokenizer;
    const std::vector<data::Example> examples =
        two_tasks().tasks[task.name == "one" ? 0 : 1].examples;
    for (const SiteRouting& site : task.sites) {
      const bool is_decoder = site.site.starts_with("decoder");
      int64_t num_tokens = 0;
      for (const data::Example& example : examples)
        num_tokens += static_cast<int64_t>(
            tokenizer.encode_with_eos(is_decoder ? example.targets : example.inputs).size());
      EXPECT_EQ(site.num_tokens, num_tokens) << site.site;
      double sum = 0;
      for (double weight : site.weights) sum += weight;
      EXPECT_NEAR(sum, 1, 1e-9) << site.site;
    }
  }
}

TEST(TaskRouting, SaysWhereThereIsNone) {
  const model::LoadedModel dense = model::load_model_with_tokenizer(
      std::string(FLANMOE_SOURCE_DIR) + "/tests/golden/t5-v1_1-tiny");
  expect_error(ErrorCode::InvalidArgument, "has no experts",
               [&] { measure_routing(dense, two_tasks(), {}, {}, at::kFloat); });
  expect_error(ErrorCode::InvalidConfig, "no site with experts matches 'layer.9'",
               [&] { measure_routing(golden(), two_tasks(), {"layer.9"}, {}, at::kFloat); });
  expect_error(ErrorCode::InvalidConfig, "no regular expression",
               [&] { measure_routing(golden(), two_tasks(), {"/(/"}, {}, at::kFloat); });
}

}  // namespace
}  // namespace flanmoe::eval
