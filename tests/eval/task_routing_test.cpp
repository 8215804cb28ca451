#include "eval/task_routing.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/json.h"
#include "support/expect_error.h"
#include "support/tiny_model.h"

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

}  // namespace
}  // namespace flanmoe::eval
