#include "train/checkpoints/snapshot.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

namespace flanmoe::train {

checkpoint::NamedTensors to_cpu(checkpoint::NamedTensors tensors) {
  for (auto& [name, tensor] : tensors) tensor = tensor.cpu();
  return tensors;
}

void Snapshot::take(const checkpoint::NamedTensors& tensors) {
  const at::NoGradGuard no_grad;
  std::erase_if(copies_, [&](const auto& entry) { return !tensors.contains(entry.first); });
  for (const auto& [name, tensor] : tensors) {
    at::Tensor& copy = copies_[name];
    if (!copy.defined() || copy.scalar_type() != tensor.scalar_type() ||
        copy.sizes() != tensor.sizes())
      copy = at::empty(tensor.sizes(), at::TensorOptions(tensor.scalar_type()));
    copy.copy_(tensor);
  }
}

}  // namespace flanmoe::train
