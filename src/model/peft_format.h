// Between an adapter here and the two files as PyPI `peft` has them; for adapter_folder.cpp.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "checkpoint/named_tensors.h"
#include "checkpoint/tensor_file.h"
#include "model/config.h"
#include "nn/delta.h"
#include "peft/adapter.h"

namespace flanmoe::model::peft_format {

constexpr const char* kPrefix = "base_model.model.";
constexpr const char* kOwnType = "FLANMOE";  // peft_type of what `peft` lacks

// A vector is a column where `peft` scales a module's output, a row where it scales its input.
enum class Layout { Same, Column, Row };
struct Place {
  std::string parameter;
  Layout layout = Layout::Same;
};
std::vector<int64_t> disk_shape(const nn::Parameter& parameter, Layout layout);

struct Reading {
  peft::Config config;
  std::map<std::string, Place> places;  // of the file's tensors that are understood, by name
};
// `where` is the config file's path. Throws Unsupported naming the key, InvalidConfig,
// ShapeMismatch on modules that the model has not.
Reading read(const Json& json, const std::string& where, const nn::Sites& sites,
             const checkpoint::TensorInfos& tensors);

struct Written {
  Json json;
  checkpoint::NamedTensors tensors;
};
// As LORA, IA3, LN_TUNING or PROMPT_TUNING where `peft` can express the adapter.
Written write(const peft::Adapter& adapter, const nn::Sites& sites, const ModelConfig& config,
              const std::string& base_path);

}  // namespace flanmoe::model::peft_format
