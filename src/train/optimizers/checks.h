// What every optimizer asks of its config and of its parameters.
#pragma once

#include <ATen/core/Tensor.h>

#include "nn/parameter.h"

namespace flanmoe::train {

// Throw InvalidConfig naming optimizer.<key>.
void check_positive(const char* key, double value);
void check_not_negative(const char* key, double value);
void check_range(const char* key, double value, double low, double high);  // low <= value < high

// False for a frozen parameter. Throws Unsupported for one that is trained and is not a float32
// tensor on the CPU.
bool is_trained(const nn::Parameter& parameter);

at::Tensor to_float(const at::Tensor& gradient);

}  // namespace flanmoe::train
