// The model that a training stage begins with.
#pragma once

#include <string>

#include "model/folder.h"
#include "peft/config.h"
#include "train/config.h"

namespace flanmoe::study {

// The model of `folder`, in the dtype that training wants. `adapter` with components: a new adapter
// of that config, made from config.seed, attached and active, so that it alone is trained; without:
// what the folder has, a model or an adapter to be trained on. `place` of the adapter's config is
// for messages. Throws InvalidConfig where the folder has an adapter and another is asked for.
model::LoadedModel load_for_training(const std::string& folder, const peft::Config& adapter,
                                     const train::Config& config, const at::Device& device,
                                     const std::string& place);

// Whether the adapter fits a model folder, as load_for_training() would find it, from the folder's
// config alone. Throws as it does.
void check_adapter(const std::string& folder, const peft::Config& adapter,
                   const std::string& place);

}  // namespace flanmoe::study
