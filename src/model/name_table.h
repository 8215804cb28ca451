// The one table between the names of parameters here and on disk.
#pragma once

#include <string>
#include <vector>

#include "model/config.h"
#include "nn/parameter.h"

namespace flanmoe::model {

// Where a parameter stands on disk. Stacked experts have one name an expert
// ("...experts.expert_3.wi.weight"), all else exactly one. Sparse models carry Switch's names: the
// dense blocks are "mlp" instead of "DenseReluDense".
std::vector<std::string> disk_names(const nn::Parameter& parameter, const ModelConfig& config);

// Other spellings of a disk name that loading accepts ("mlp" for "DenseReluDense" and the other way
// round).
std::vector<std::string> accepted_names(const std::string& disk_name);

// Tensors that others write and that repeat or mean nothing: copies of the embedding, the unused
// bias of cross-attention.
bool is_redundant(const std::string& disk_name, const ModelConfig& config);

}  // namespace flanmoe::model
