// A model folder written tensor by tensor.
#pragma once

#include <functional>
#include <string>

#include "model/folder.h"
#include "model/name_table.h"

namespace flanmoe::convert {

// Gives a tensor of the model, of any dtype; it is converted to that of its parameter.
using MakeTensor =
    std::function<at::Tensor(const nn::Parameter& parameter, const model::DiskTensor& tensor)>;

// What save_model() writes for a model of `config` and `dtype` with these tensors, holding one of
// them at a time; a progress bar names `label`. `out` appears whole or not at all. Throws
// Interrupted on Ctrl-C. `add` writes more files into the folder it is given.
void write_model_folder(const std::string& out, const model::ModelConfig& config,
                        at::ScalarType dtype, int64_t max_shard_bytes,
                        const text::Tokenizer* tokenizer, const std::string& label,
                        const MakeTensor& make,
                        const std::function<void(const std::string& folder)>& add = {});

}  // namespace flanmoe::convert
