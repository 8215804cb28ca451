// Normal random values by key.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "base/random.h"

namespace flanmoe::nn {

// normal(0, std), float32; element i is a function of (key, i).
at::Tensor draw_normal(at::IntArrayRef shape, double std, const RandomKey& key);
// The same into a tensor, keyed by (seed, name).
void fill_normal(const at::Tensor& tensor, double std, uint64_t seed, const std::string& name);

}  // namespace flanmoe::nn
