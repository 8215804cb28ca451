#include "ops/device.h"

#include "ops/cpu/kernels.h"

namespace flanmoe::ops {

std::string cpu_kernel_name() {
  return cpu::instruction_set();
}

}  // namespace flanmoe::ops
