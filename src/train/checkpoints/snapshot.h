// A copy of tensors as they are at one instant.
#pragma once

#include "checkpoint/named_tensors.h"

namespace flanmoe::train {

// The same tensors where they are on the CPU, copies of the others.
checkpoint::NamedTensors to_cpu(checkpoint::NamedTensors tensors);

// On the CPU. The memory is kept for the next copy.
class Snapshot {
 public:
  // Copies with the compute threads. Tensors that are not in `tensors` any more are dropped.
  void take(const checkpoint::NamedTensors& tensors);
  const checkpoint::NamedTensors& tensors() const { return copies_; }

 private:
  checkpoint::NamedTensors copies_;
};

}  // namespace flanmoe::train
