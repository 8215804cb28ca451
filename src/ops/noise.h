// The rule of dropout, shared by dropout and attention on every device.
#pragma once

#include <cmath>

#include "base/error.h"
#include "ops/cpu/kernels.h"

namespace flanmoe::ops {

inline void check_dropout_rate(const char* op, double rate) {
  if (!(rate >= 0 && rate < 1)) fail(ErrorCode::InvalidArgument, "[ops.{}] rate is {}; it must be at least 0 and below 1", op, rate);
}

inline cpu::DropoutRule make_dropout_rule(double rate) {
  return {.threshold = static_cast<uint32_t>(std::lround(rate * 65536)), .scale = 1 / (1 - rate)};
}

}  // namespace flanmoe::ops
