#include "ops/cuda/ops_cuda.h"

#include "base/error.h"

namespace flanmoe::ops::cuda {

namespace {

[[noreturn]] void refuse() {
  throw Error(ErrorCode::Unsupported,
              "[ops] this build has no CUDA: configure with the cuda preset");
}

}  // namespace

template <class T>
const RowKernels<T>& row_kernels() {
  refuse();
}
template const RowKernels<float>& row_kernels<float>();
template const RowKernels<double>& row_kernels<double>();
template const RowKernels<Bf16>& row_kernels<Bf16>();

at::Tensor attention(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                     const AttentionMask&, const std::optional<AttentionDropout>&) {
  refuse();
}
at::Tensor relative_position_bias(const at::Tensor&, int64_t, int64_t, int64_t, bool, int64_t) {
  refuse();
}

}  // namespace flanmoe::ops::cuda
