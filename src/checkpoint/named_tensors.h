// Named tensors in a folder, in the formats others write. Knows no models.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace flanmoe::checkpoint {

using NamedTensors = std::map<std::string, at::Tensor>;

constexpr int64_t kMaxShardBytes = int64_t{5} << 30;

// Tensors and string metadata of one safetensors file, read straight into the tensors' memory.
// dtypes F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL. Throws CorruptFile on anything that does not add
// up (header length, JSON, offsets that overlap, leave gaps or pass the end, sizes that differ from
// shape x dtype), naming the file and the tensor; NotFound where there is no file.
NamedTensors load_safetensors(const std::string& path,
                              std::map<std::string, std::string>* metadata = nullptr);

// Written aside and renamed. Tensors must be on the CPU; non-contiguous ones are copied. Same
// tensors, same bytes (sorted by dtype size, then name).
void save_safetensors(const std::string& path, const NamedTensors& tensors,
                      const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

// pytorch_model.bin: what torch.save() makes of a state dict, zip or (before PyTorch 1.6) not. The
// pickle inside is read without running anything (pickle.h). Every tensor owns its memory, also
// where the file shares it. Throws CorruptFile, Unsupported, NotFound.
NamedTensors load_pytorch_bin(const std::string& path);

// A Hugging Face folder: model.safetensors, or model.safetensors.index.json with shards, or
// pytorch_model.bin (or its index with shards), in this order. Throws NotFound naming the four
// where none is there, CorruptFile where the index names a tensor that its shard lacks.
NamedTensors load_folder(const std::string& folder);

// model.safetensors, or shards of at most `max_shard_bytes` with model.safetensors.index.json as
// `transformers` names them. Removes neither what was there before nor other files: write into an
// AtomicFolder.
void save_folder(const std::string& folder, const NamedTensors& tensors,
                 int64_t max_shard_bytes = kMaxShardBytes);

}  // namespace flanmoe::checkpoint
