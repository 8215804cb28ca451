// An optimizer's state beside the weights of a finished model, for a stage that goes on with it:
// optimizer.safetensors of the model's folder, metadata "optimizer" and "step".
#pragma once

#include <cstdint>
#include <string>

#include "train/optimizers/optimizer.h"

namespace flanmoe::train {

// `step`: updates made so far, those of earlier stages included. Throws Io.
void save_optimizer_state(const std::string& model_folder, Optimizer& optimizer,
                          const std::string& optimizer_name, int64_t step);
// Updates made so far. Throws NotFound where the folder has no state, InvalidConfig where it is
// another optimizer's, CorruptFile.
int64_t load_optimizer_step(const std::string& model_folder, const std::string& optimizer_name);
// Copies the state in. Trained parameters that it says nothing of (the routers of an upcycled
// model) keep what they have; state of `parameters` that this stage does not train is left out.
// Throws CorruptFile where a tensor does not fit.
void load_optimizer_state(const std::string& model_folder, const nn::Parameters& parameters,
                          Optimizer& optimizer);

}  // namespace flanmoe::train
