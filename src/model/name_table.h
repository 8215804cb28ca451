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

// A tensor on disk: a parameter, or one expert's part of a stacked one.
struct DiskTensor {
  std::string name;
  size_t parameter = 0;  // index
  int64_t expert = -1;
};
// In the order of parameters, then experts.
std::vector<DiskTensor> list_disk_tensors(const nn::Parameters& parameters,
                                          const ModelConfig& config);
// The part of `whole` (of the parameter, or shaped like it) that is on disk under that name.
at::Tensor part_on_disk(const at::Tensor& whole, const nn::Parameter& parameter,
                        const DiskTensor& tensor);

// Other spellings of a disk name that loading accepts ("mlp" for "DenseReluDense" and the other way
// round).
std::vector<std::string> accepted_names(const std::string& disk_name);

// Tensors that others write and that repeat or mean nothing: copies of the embedding, the unused
// bias of cross-attention.
bool is_redundant(const std::string& disk_name, const ModelConfig& config);

}  // namespace flanmoe::model
