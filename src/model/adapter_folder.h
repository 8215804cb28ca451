// An adapter as a folder of PyPI `peft`: adapter_config.json and adapter_model.safetensors.
//
// LoRA and (IA)3 are written as `peft` has them and read from it; everything else has peft_type
// FLANMOE and the adapter's own config under `components` (docs/formats.md).
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/hash.h"
#include "checkpoint/named_tensors.h"
#include "model/model.h"
#include "peft/adapter.h"

namespace flanmoe::model {

constexpr const char* kAdapterConfigFile = "adapter_config.json";
constexpr const char* kAdapterWeightsFile = "adapter_model.safetensors";

// Which model an adapter was made for.
struct AdapterBase {
  std::string path;  // a folder (written absolute), or a name that is none ("google/flan-t5-small")
  std::string hash;  // base_hash() of it; "": not known
};

// Of a model's config and weights: the same whatever the files' names, shards and formatting;
// another dtype is another hash.
class BaseHasher {
 public:
  void add(const ModelConfig& config);
  // In the order of ModelReader::read_all().
  void add(const std::string& disk_name, const at::Tensor& values);
  std::string hex() const { return hasher_.hex(); }

 private:
  Hasher hasher_;
};
// Reads the weights once. Throws as load_model().
std::string base_hash(const std::string& folder);

// Has a folder an adapter_config.json and no config.json?
bool is_adapter_folder(const std::string& folder);
// Throws NotFound unless it has both files.
void check_adapter_folder(const std::string& folder);

// What an adapter folder says of its base: `path` a folder that exists (that of
// base_model_name_or_path, absolute or from the adapter's folder, the working folder or beside the
// adapter's; the one it
// was relative to the adapter's folder when it was written), `hash` "" in foreign folders. Throws
// NotFound naming the folders tried.
AdapterBase find_adapter_base(const std::string& folder);

// What is written. Tensors share the memory of the adapter's parameters where the layouts agree.
struct AdapterFiles {
  std::string config;  // adapter_config.json
  checkpoint::NamedTensors tensors;
  std::map<std::string, std::string> metadata;  // of the safetensors file
};
// `folder` is where the files will lie in the end. A tensor keeps its dtype.
AdapterFiles describe_adapter(const std::string& folder, const peft::Adapter& adapter,
                              const Model& model, const AdapterBase& base);
// Into a folder that is there already.
void write_adapter_files(const std::string& folder, const AdapterFiles& files);
// A whole folder, written aside and renamed.
void save_adapter(const std::string& folder, const peft::Adapter& adapter, const Model& model,
                  const AdapterBase& base);

// The adapter's config alone, for a model with these sites. Throws Unsupported naming a key of
// adapter_config.json that we cannot express, InvalidConfig on one that is wrong, ShapeMismatch
// where it acts on modules that the model has not.
peft::Config load_adapter_config(const std::string& folder, const nn::Sites& sites);

struct AdapterLoadOptions {
  std::string base_hash;           // base_hash() of the model; "": not compared
  bool ignores_base_hash = false;  // another hash is a warning
};
// An adapter for `model`, not attached yet. Strict both ways: missing and unexpected tensors are
// listed, a shape that does not fit names both. A base of another hash is a ShapeMismatch that says
// what to do about it.
std::shared_ptr<const peft::Adapter> load_adapter(const std::string& folder,
                                                  const std::string& name, const Model& model,
                                                  const AdapterLoadOptions& options = {});
// Fills the parameters of an adapter of the same config (resume), as strict.
void fill_adapter(const peft::Adapter& adapter, const std::string& folder, const Model& model);

}  // namespace flanmoe::model
