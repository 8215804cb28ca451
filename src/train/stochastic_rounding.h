// Training without float32 master weights (train.has_stochastic_rounding).
//
// Parameters are bfloat16, norms, routers and relative biases aside, which stay float32
// (model::Model). So are gradients. An optimizer reads a bfloat16 parameter, computes its update in
// float32 and stores the result rounded up or down at random, with the probability that makes the
// mean exact: an update of less than half the distance between neighbours, which rounding to the
// nearest loses, moves the parameter that much on average. The noise is a pure function of (seed,
// parameter's name, step, element); optimizer state is float32. The model is loaded in bfloat16
// (rounded to the nearest), checkpoints and the finished model have what the parameters hold, so a
// resumed run ends in the same bytes.
#pragma once

#include <c10/core/ScalarType.h>

#include <string>

#include "model/model.h"
#include "train/config.h"

namespace flanmoe::train {

// What a stage's model is to be loaded with. Where an adapter is trained (in float32), the base is
// frozen and has the dtype of compute: there is no float32 master of it.
at::ScalarType find_parameter_dtype(const Config& config, bool trains_adapter = false);

// Throws InvalidConfig naming `place`.<key> where precision is not bfloat16.
void validate_stochastic_rounding(const Config& config, const std::string& place = "train");
// Throws InvalidArgument where the model's parameters are not what find_parameter_dtype() says.
// Where it has an active adapter, the model's may be of any dtype; has_stochastic_rounding is then
// InvalidConfig.
void check_parameter_dtype(const model::Model& model, const Config& config);

}  // namespace flanmoe::train
