// A model's routing in words.
#pragma once

#include <string>

#include "model/config.h"

namespace flanmoe::model {

// "top-2", or "expert-choice in the encoder, top-2 in the decoder"; "" for a dense model.
std::string describe_routers(const ModelConfig& config);
// What is computed otherwise in training than in scoring and generation; "" where nothing is.
std::string describe_training_difference(const ModelConfig& config);

}  // namespace flanmoe::model
