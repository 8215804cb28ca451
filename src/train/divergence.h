// A loss or a gradient that is not finite.
#pragma once

#include <cstdint>
#include <string>

#include "data/batch.h"
#include "nn/parameter.h"

namespace flanmoe::train {

// Throw NonFinite with the step, the parameter and the keys of the batch's examples.
[[noreturn]] void fail_on_loss(double loss, const nn::Parameters& parameters,
                               const data::Batch& batch, int64_t step);
[[noreturn]] void fail_on_gradient(const nn::Parameters& trained, const data::Batch& batch,
                                   int64_t step);

}  // namespace flanmoe::train
