// The same ops on CUDA tensors. src/ops/no_cuda has the versions of a build without CUDA, which refuse.
#pragma once

#include "ops/routing.h"
#include "ops/transformer.h"

namespace flanmoe::ops::cuda {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight_D, double eps);
at::Tensor gated_gelu(const at::Tensor& gate, const at::Tensor& up);
at::Tensor dropout(const at::Tensor& x, double rate, const Noise& noise);
at::Tensor jitter(const at::Tensor& x, double epsilon, const Noise& noise);
at::Tensor attention(const at::Tensor& q_BQHd, const at::Tensor& k_BKHd, const at::Tensor& v_BKHd, const at::Tensor& bias_HQK,
                     const AttentionMask& mask, const std::optional<AttentionDropout>& dropout);
at::Tensor relative_position_bias(const at::Tensor& table_NH, int64_t query_length, int64_t key_length, int64_t query_offset, bool is_bidirectional,
                                  int64_t max_distance);
at::Tensor cross_entropy(const at::Tensor& logits_TV, const at::Tensor& labels_T, double z_coefficient);
at::Tensor dispatch(const at::Tensor& x_TD, const Routing& routing);
at::Tensor combine(const at::Tensor& expert_output_AD, const Routing& routing);

}  // namespace flanmoe::ops::cuda
