#include "nn/parameter.h"

namespace flanmoe::nn {

int64_t num_elements(const Parameters& parameters) {
  int64_t count = 0;
  for (const Parameter& parameter : parameters) count += parameter.tensor.numel();
  return count;
}

}  // namespace flanmoe::nn
