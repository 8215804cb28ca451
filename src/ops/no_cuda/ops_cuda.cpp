#include "ops/cuda/ops_cuda.h"

#include "base/error.h"
#include "ops/device.h"

namespace flanmoe::ops::cuda {

namespace {

[[noreturn]] void refuse() {
  require_cuda();
  throw Error(ErrorCode::Internal, "[ops] a build without CUDA found one");
}

}  // namespace

at::Tensor rms_norm(const at::Tensor&, const at::Tensor&, double) { refuse(); }
at::Tensor gated_gelu(const at::Tensor&, const at::Tensor&) { refuse(); }
at::Tensor dropout(const at::Tensor&, double, const Noise&) { refuse(); }
at::Tensor jitter(const at::Tensor&, double, const Noise&) { refuse(); }
at::Tensor attention(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, const AttentionMask&,
                     const std::optional<AttentionDropout>&) {
  refuse();
}
at::Tensor relative_position_bias(const at::Tensor&, int64_t, int64_t, int64_t, bool, int64_t) { refuse(); }
at::Tensor cross_entropy(const at::Tensor&, const at::Tensor&, double) { refuse(); }
at::Tensor dispatch(const at::Tensor&, const Routing&) { refuse(); }
at::Tensor combine(const at::Tensor&, const Routing&) { refuse(); }

}  // namespace flanmoe::ops::cuda
