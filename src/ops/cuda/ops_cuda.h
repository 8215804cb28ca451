// What ops are made of on CUDA tensors (of the current device). src/ops/no_cuda has the versions of
// a build without CUDA, which refuse.
#pragma once

#include "ops/cuda/row_kernels.h"
#include "ops/transformer.h"

namespace flanmoe::ops::cuda {

// Put together from libtorch's own operations.
at::Tensor attention(const at::Tensor& q_BQHd, const at::Tensor& k_BKHd, const at::Tensor& v_BKHd,
                     const at::Tensor& bias_HQK, const AttentionMask& mask,
                     const std::optional<AttentionDropout>& dropout);
at::Tensor relative_position_bias(const at::Tensor& table_NH, int64_t query_length,
                                  int64_t key_length, int64_t query_offset, bool is_bidirectional,
                                  int64_t max_distance);

}  // namespace flanmoe::ops::cuda
