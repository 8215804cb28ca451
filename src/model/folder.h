// A model as a Hugging Face folder.
#pragma once

#include <memory>
#include <string>

#include "checkpoint/named_tensors.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace flanmoe::model {

// Model and tokenizer as they are on disk. `tokenizer` is null where the folder has no
// spiece.model.
struct LoadedModel {
  std::unique_ptr<Model> model;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::string folder;
};

// Strict both ways: a tensor nobody used and a parameter nobody filled are errors that list them
// (tied copies excepted); a shape that does not fit is a ShapeMismatch naming both shapes. Foreign
// names (Switch's per-expert tensors, v1.0's wi) go through the name table.
LoadedModel load_model(const std::string& folder, at::ScalarType dtype = at::kFloat,
                       const at::Device& device = at::kCPU);
// The config alone.
ModelConfig load_model_config(const std::string& folder);
// As load_model, or throws NotFound naming the folder and spiece.model where there is no tokenizer.
LoadedModel load_model_with_tokenizer(const std::string& folder, at::ScalarType dtype = at::kFloat,
                                      const at::Device& device = at::kCPU);

// A complete folder: config.json, generation_config.json, model.safetensors (sharded past
// `max_shard_bytes`), tokenizer files, and modeling_flanmoe.py where transformers lacks the
// architecture; written aside and renamed whole.
void save_model(const std::string& folder, const Model& model, const text::Tokenizer* tokenizer,
                int64_t max_shard_bytes = int64_t{5} << 30);

// Disk names and tensors of a model (stacked experts unstacked), and the other way round; `where`
// is for messages.
checkpoint::NamedTensors to_named_tensors(const Model& model);
void fill_from_named_tensors(Model& model, const checkpoint::NamedTensors& tensors,
                             const std::string& where);

// Hash of config and weights (model.safetensors and config.json as written).
std::string folder_hash(const std::string& folder);

}  // namespace flanmoe::model
