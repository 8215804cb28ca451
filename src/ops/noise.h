// The rule of dropout, shared by dropout and attention on every device.
#pragma once

#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "ops/kernels.h"

namespace flanmoe::ops {

inline void check_dropout_rate(const char* op, double rate) {
  if (!(rate >= 0 && rate < 1))
    fail(ErrorCode::InvalidArgument, "[ops.{}] rate is {}; it must be at least 0 and below 1", op,
         rate);
}

// RandomKey::fold on a state.
inline uint64_t fold_key(uint64_t key, uint64_t part) {
  return mix64(key ^ mix64(part + 0x632BE59BD9B4E019ull));
}

inline DropoutRule make_dropout_rule(double rate) {
  return {.threshold = static_cast<uint32_t>(std::lround(rate * 65536)), .scale = 1 / (1 - rate)};
}

}  // namespace flanmoe::ops
