#pragma once

#include "ops/kernels.h"

namespace flanmoe::ops::cuda {

// On the current stream of the current device.
template <class T>
const RowKernels<T>& row_kernels();

}  // namespace flanmoe::ops::cuda
