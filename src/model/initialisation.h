// How a model from nothing begins.
#pragma once

#include <cstdint>

#include "model/config.h"
#include "nn/parameter.h"

namespace flanmoe::model {

// T5's scheme (Mesh TensorFlow, `transformers` _init_weights): norms 1; embedding normal(1); q
// normal((d_model d_kv)^-0.5); k, v, wi, lm_head normal(d_model^-0.5); o normal((heads d_kv)^-0.5);
// wo normal(d_ff^-0.5); relative bias normal(d_model^-0.5); routers normal(0.02). A tied embedding
// is scaled at the output, so it keeps normal(1). Every element is a function of (seed, name,
// index).
void initialise(const nn::Parameters& parameters, const ModelConfig& config, uint64_t seed);

}  // namespace flanmoe::model
