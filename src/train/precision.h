// The dtype that a config's precision stands for.
#pragma once

#include <c10/core/ScalarType.h>

#include "train/config.h"

namespace flanmoe::train {

inline at::ScalarType find_compute_dtype(Precision precision) {
  return precision == Precision::BFloat16 ? at::kBFloat16 : at::kFloat;
}

}  // namespace flanmoe::train
