#include "ops/device.h"

#include <ATen/Context.h>

#include "base/error.h"

namespace flanmoe::ops {

bool has_cuda_build() {
  return true;
}
void require_cuda() {
  if (!at::hasCUDA())
    fail(ErrorCode::Unsupported,
         "[--device] cuda: this machine has no CUDA device, or libtorch_cuda is not loaded");
}

}  // namespace flanmoe::ops
