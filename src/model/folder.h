// A model as a Hugging Face folder.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/named_tensors.h"
#include "checkpoint/tensor_reader.h"
#include "model/model.h"
#include "model/name_table.h"
#include "text/tokenizer.h"

namespace flanmoe::model {

// Model and tokenizer as they are on disk. `tokenizer` is null where the folder has no
// spiece.model.
struct LoadedModel {
  std::unique_ptr<Model> model;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::string folder;       // as it was given
  std::string base_folder;  // where the weights are: not `folder` where that is an adapter's
};

// A model folder whose weights are read one tensor at a time. Opening it is as strict as
// load_model(). Not for several threads at once.
class ModelReader {
 public:
  explicit ModelReader(const std::string& folder);
  const ModelConfig& config() const { return config_; }
  bool has(const std::string& disk_name) const { return file_names_.contains(disk_name); }
  // A tensor by its name on disk (name_table.h) whatever spelling the file has, in the file's
  // dtype.
  at::Tensor read(const std::string& disk_name) const;
  // As checkpoint::TensorFile has it.
  at::Tensor read_elements(const std::string& disk_name, int64_t first, int64_t count) const;
  // Null where the folder has no spiece.model.
  std::shared_ptr<const text::Tokenizer> load_tokenizer() const;
  // Every tensor in the file's dtype, in one order whatever the files.
  void read_all(
      const std::function<void(const DiskTensor& tensor, const at::Tensor& values)>& visit) const;

 private:
  ModelReader(const std::string& folder, const Json& json);

  std::string folder_;
  ModelConfig config_;
  checkpoint::TensorReader reader_;
  std::map<std::string, std::string> file_names_;  // by disk name
};

struct NamedAdapter {
  std::string name, folder;
};
struct LoadOptions {
  std::string base;                // of an adapter folder: this model folder, not the one it names
  bool ignores_base_hash = false;  // an adapter made for a base of another hash is a warning only
  std::vector<NamedAdapter> adapters;  // attached too; if it is one alone, it is activated
};

// Strict both ways: a tensor nobody used and a parameter nobody filled are errors that list them
// (tied copies excepted); a shape that does not fit is a ShapeMismatch naming both shapes. Foreign
// names (Switch's per-expert tensors, v1.0's wi) go through the name table.
//
// An adapter folder (adapter_folder.h) is its base with the adapter attached as "default" and
// activated; the tokenizer is the base's.
LoadedModel load_model(const std::string& folder, at::ScalarType dtype = at::kFloat,
                       const at::Device& device = at::kCPU, const LoadOptions& options = {});
// The config alone; of an adapter folder that of its base.
ModelConfig load_model_config(const std::string& folder);
// As load_model, or throws NotFound naming the folder and spiece.model where there is no tokenizer.
LoadedModel load_model_with_tokenizer(const std::string& folder, at::ScalarType dtype = at::kFloat,
                                      const at::Device& device = at::kCPU,
                                      const LoadOptions& options = {});

// Optimizer state that a training stage may leave beside the weights; nothing else reads it.
constexpr const char* kOptimizerFile = "optimizer.safetensors";

// A complete folder: config.json, generation_config.json, model.safetensors (sharded past
// `max_shard_bytes`), tokenizer files, modeling_flanmoe.py where transformers lacks the
// architecture, and what `add` writes into the folder it is given; written aside and renamed whole.
void save_model(const std::string& folder, const Model& model, const text::Tokenizer* tokenizer,
                int64_t max_shard_bytes = checkpoint::kMaxShardBytes,
                const std::function<void(const std::string& folder)>& add = {});
// All of such a folder but the weights, for weights of `dtype`.
void save_description(const std::string& folder, const ModelConfig& config,
                      const text::Tokenizer* tokenizer, at::ScalarType dtype = at::kFloat);

// Disk names and tensors of a model (stacked experts unstacked), and the other way round; `where`
// is for messages.
checkpoint::NamedTensors to_named_tensors(const Model& model);
void fill_from_named_tensors(Model& model, const checkpoint::NamedTensors& tensors,
                             const std::string& where);

// Hash of config and weights (model.safetensors and config.json as written).
std::string folder_hash(const std::string& folder);

}  // namespace flanmoe::model
