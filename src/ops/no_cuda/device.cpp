#include "ops/device.h"

#include "base/error.h"

namespace flanmoe::ops {

bool has_cuda_build() {
  return false;
}
void require_cuda() {
  fail(ErrorCode::Unsupported,
       "[--device] cuda: this build has no CUDA; configure with the preset 'cuda'");
}

}  // namespace flanmoe::ops
