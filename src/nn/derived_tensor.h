// What is computed from a tensor that is trained, kept as long as it is right.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace flanmoe::nn {

// A copy of a master in some dtype (and, it may be, in another order), made anew where the master's
// values, its device or the dtype have changed. Not for several threads at once.
class DerivedTensor {
 public:
  // `derive()` gives the copy, without gradients.
  template <class Derive>
  const at::Tensor& get(const at::Tensor& master, at::ScalarType dtype, Derive derive) {
    const bool is_right = copy_.defined() && copy_.scalar_type() == dtype &&
                          copy_.device() == master.device() && version_ == master._version();
    if (!is_right) {
      copy_ = derive();
      version_ = master._version();
    }
    return copy_;
  }

 private:
  at::Tensor copy_;
  int64_t version_ = -1;
};

}  // namespace flanmoe::nn
