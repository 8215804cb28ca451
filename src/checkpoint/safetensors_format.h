// Constants of the safetensors format and of the folders around it.
#pragma once

#include <cstdint>

namespace flanmoe::checkpoint {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // as the safetensors library has it
constexpr const char* kMetadataKey = "__metadata__";
constexpr const char* kSafetensorsFile = "model.safetensors";
constexpr const char* kSafetensorsIndex = "model.safetensors.index.json";

}  // namespace flanmoe::checkpoint
