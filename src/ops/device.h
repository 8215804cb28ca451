// What this build and machine can compute on.
#pragma once

#include <string>

namespace flanmoe::ops {

bool has_cuda_build();
// Throws Unsupported where the build has no CUDA or the machine no device, saying which.
void require_cuda();
// Name of the instruction set that the CPU kernels use: "avx512", "avx2" or "generic".
std::string cpu_kernel_name();

}  // namespace flanmoe::ops
