// What a training step's speed is held against.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

namespace flanmoe::train {

// FLOP/s of at::mm at 2048^3 in the given dtype with the threads of now: the median of three after
// one that is not counted, some 70 GFLOP in all. Needs 3 * 2048^2 values of memory.
double measure_matmul_rate(c10::ScalarType dtype, c10::Device device);

}  // namespace flanmoe::train
