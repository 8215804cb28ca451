// Parameters of tests: every optimizer of the registry, updated by either path.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "train/optimizers/optimizer.h"

namespace flanmoe::train {

using OptimizerAndPath = std::tuple<std::string, UpdatePath>;

inline std::string name_of(UpdatePath path) {
  return path == UpdatePath::Loops ? "loops" : "tensor_ops";
}
inline std::string name_of(const ::testing::TestParamInfo<OptimizerAndPath>& instance) {
  return std::get<0>(instance.param) + "_" + name_of(std::get<1>(instance.param));
}

inline auto every_path() {
  return ::testing::Values(UpdatePath::Loops, UpdatePath::TensorOps);
}
inline auto every_optimizer() {
  return ::testing::Combine(::testing::ValuesIn(optimizer_registry().names()), every_path());
}

}  // namespace flanmoe::train
