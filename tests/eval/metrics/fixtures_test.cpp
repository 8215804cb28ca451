// Every registered metric against a well-known Python implementation:
// tools/make_metric_fixtures.py.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "eval/metrics/metric.h"

namespace flanmoe::eval {
namespace {

Json load_fixture(const std::string& metric) {
  return load_json(std::string(FLANMOE_SOURCE_DIR) + "/tests/eval/metrics/fixtures/" + metric +
                   ".json");
}

std::unique_ptr<Metric> metric_of(const std::string& name, const Json& test_case) {
  std::unique_ptr<Metric> metric = make_metric(name);
  for (const Json& example : test_case.at("examples"))
    metric->add(example.at(0).get<std::string>(), example.at(1).get<std::vector<std::string>>());
  return metric;
}

// Cases whose value differs by more than 1e-9.
size_t num_differences(const std::string& metric, const Json& cases) {
  return static_cast<size_t>(std::count_if(cases.begin(), cases.end(), [&](const Json& test_case) {
    const double difference =
        metric_of(metric, test_case)->value() - test_case.at("value").get<double>();
    return !(std::abs(difference) <= 1e-9);
  }));
}

class Fixture : public ::testing::TestWithParam<std::string> {};

TEST_P(Fixture, HasTheValuesOfTheReference) {
  const Json fixture = load_fixture(GetParam());
  EXPECT_EQ(fixture.at("metric"), GetParam());
  const Json& cases = fixture.at("cases");
  EXPECT_GE(cases.size(), 200u);
  size_t num_partial = 0;
  for (const Json& test_case : cases) {
    const std::unique_ptr<Metric> metric = metric_of(GetParam(), test_case);
    const double expected = test_case.at("value").get<double>();
    EXPECT_NEAR(metric->value(), expected, 1e-9) << fixture.at("reference") << "\n"
                                                 << test_case.dump();
    num_partial += expected > 0 && expected < 1 ? 1 : 0;
    for (size_t i = 0; test_case.contains("values") && i < test_case.at("values").size(); ++i)
      EXPECT_NEAR(metric->value_of(i), test_case.at("values").at(i).get<double>(), 1e-9)
          << "example " << i << "\n"
          << test_case.dump();
  }
  const bool is_right_or_wrong =
      GetParam() == "accuracy" || GetParam() == "exact_match" || GetParam() == "squad_exact_match";
  if (!is_right_or_wrong) EXPECT_GT(num_partial, cases.size() / 5);  // the cases tell something
}

// Shifted by one case the values must not fit, or the comparison sees nothing.
TEST_P(Fixture, DiffersFromTheValuesOfOtherCases) {
  Json cases = load_fixture(GetParam()).at("cases");
  EXPECT_EQ(num_differences(GetParam(), cases), 0u);
  const Json first = cases.front().at("value");
  for (size_t i = 0; i + 1 < cases.size(); ++i) cases[i]["value"] = cases[i + 1].at("value");
  cases.back()["value"] = first;
  EXPECT_GT(num_differences(GetParam(), cases), cases.size() / 10);
  cases[0]["value"] = std::nan("");
  cases[1]["value"] = -1.5;
  EXPECT_GE(num_differences(GetParam(), Json{cases[0], cases[1]}), 2u);
}

INSTANTIATE_TEST_SUITE_P(Metrics, Fixture, ::testing::ValuesIn(metric_names()),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '+', 'p');
                           return name;
                         });

}  // namespace
}  // namespace flanmoe::eval
