#include "peft/expert_index.h"

#include <ATen/ops/empty.h>

#include <algorithm>

namespace flanmoe::peft {

at::Tensor expert_of_row(const nn::ExpertValues& experts, const at::Device& device) {
  const std::vector<int64_t>& offsets = experts.expert_offsets;
  at::Tensor index = at::empty({offsets.back()}, at::kLong);
  int64_t* const expert = index.mutable_data_ptr<int64_t>();
  for (size_t e = 0; e + 1 < offsets.size(); ++e)
    std::fill(expert + offsets[e], expert + offsets[e + 1], static_cast<int64_t>(e));
  return index.to(device);
}

}  // namespace flanmoe::peft
