// Which expert every row of assignments belongs to.
#pragma once

#include <ATen/core/Tensor.h>

#include "nn/delta.h"

namespace flanmoe::peft {

// int64 [A].
at::Tensor expert_of_row(const nn::ExpertValues& experts, const at::Device& device);

}  // namespace flanmoe::peft
