// What the loop asks of all gradients together.
#pragma once

#include <string>

#include "nn/parameter.h"
#include "train/config.h"

namespace flanmoe::train {

// Square root of the sum of squares over every gradient, in double, in a fixed order. Not finite if
// and only if an element is not.
double compute_gradient_norm(const nn::Parameters& parameters);
// Factor that brings a norm down to `max_norm` (0: no limit).
double compute_clip_scale(double norm, double max_norm);

// Name of the first parameter whose value, or whose gradient, has an element that is not finite; ""
// where there is none.
std::string find_non_finite_value(const nn::Parameters& parameters);
std::string find_non_finite_gradient(const nn::Parameters& parameters);

// Gradients of weights that are multiplied once a step arrive in bf16, as their products compute
// them, where `config` computes in bf16 and a batch goes through the model at once; all others in
// their parameter's dtype, or in fp32 where parts of a batch are summed. Nothing is lost by it:
// what would be fp32 is those bf16 values converted.
void set_gradient_dtypes(const nn::Parameters& parameters, const Config& config);

void clear_gradients(const nn::Parameters& parameters);

}  // namespace flanmoe::train
