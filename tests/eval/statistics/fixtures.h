// What scipy and statsmodels say (tools/make_statistics_fixtures.py).
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "base/json.h"

namespace flanmoe::eval {

// The cases of one file; there are `least` of them or more.
inline Json load_cases(const std::string& name, size_t least = 200) {
  const std::string path =
      std::string(FLANMOE_SOURCE_DIR) + "/tests/eval/statistics/fixtures/" + name + ".json";
  Json cases = load_json(path).at("cases");
  EXPECT_GE(cases.size(), least) << path;
  return cases;
}

// To 1e-9, of what is larger than 1 and of tails relatively.
inline void expect_close(double value, double expected, const Json& of) {
  const double scale = expected == 0 ? 1.0 : std::abs(expected);
  EXPECT_LE(std::abs(value - expected), 1e-9 * scale)
      << value << " against " << expected << " of " << of.dump();
}

}  // namespace flanmoe::eval
