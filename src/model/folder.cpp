#include "model/folder.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <fmt/ranges.h>

#include <set>

#include "base/file.h"
#include "base/hash.h"
#include "model/modeling_file.h"
#include "model/name_table.h"

namespace flanmoe::model {
namespace {

std::string shape_text(at::IntArrayRef shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
}

std::string list_text(const std::vector<std::string>& names) {
  constexpr size_t kShown = 8;
  std::string text;
  for (size_t i = 0; i < names.size() && i < kShown; ++i) text += (i ? ", " : "") + names[i];
  return names.size() > kShown ? fmt::format("{} and {} more", text, names.size() - kShown) : text;
}

const at::Tensor* find_tensor(const checkpoint::NamedTensors& tensors, const std::string& disk_name,
                              std::set<std::string>& used) {
  for (const std::string& name : accepted_names(disk_name)) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) continue;
    used.insert(name);
    return &found->second;
  }
  return nullptr;
}

std::string config_path(const std::string& folder) {
  return folder + "/config.json";
}

Json load_config_json(const std::string& folder) {
  if (!is_folder(folder)) fail(ErrorCode::NotFound, "[model] there is no folder '{}'", folder);
  return load_json(config_path(folder));
}

// Whether input and output share a matrix is for the file to say: a config of transformers 5 has
// tie_word_embeddings = true also where they do not, and a tied model may come with a copy. A
// config that says they differ is believed, so that a lost output matrix is an error.
ModelConfig settle_tying(ModelConfig config, const Json& json,
                         const checkpoint::NamedTensors& tensors) {
  const auto output = tensors.find("lm_head.weight"), input = tensors.find("shared.weight");
  if (output == tensors.end()) {
    const auto says_tied = json.find("tie_word_embeddings");
    config.has_tied_embeddings =
        says_tied == json.end() || says_tied->is_null() || says_tied->get<bool>();
  } else if (config.has_tied_embeddings && input != tensors.end()) {
    config.has_tied_embeddings = input->second.scalar_type() == output->second.scalar_type() &&
                                 at::equal(input->second, output->second);
  }
  return config;
}

}  // namespace

ModelConfig load_model_config(const std::string& folder) {
  return parse_hf_config(load_config_json(folder), config_path(folder));
}

checkpoint::NamedTensors to_named_tensors(const Model& model) {
  const at::NoGradGuard no_grad;
  checkpoint::NamedTensors tensors;
  for (const nn::Parameter& parameter : model.parameters()) {
    const std::vector<std::string> names = disk_names(parameter, model.config());
    const at::Tensor value = parameter.tensor.detach().cpu();
    if (!parameter.tags.is_expert()) {
      tensors[names.front()] = value;
      continue;
    }
    for (size_t e = 0; e < names.size(); ++e)
      tensors[names[e]] = value.select(parameter.tags.expert_axis, static_cast<int64_t>(e));
  }
  return tensors;
}

void fill_from_named_tensors(Model& model, const checkpoint::NamedTensors& tensors,
                             const std::string& where) {
  const at::NoGradGuard no_grad;
  std::set<std::string> used;
  std::vector<std::string> missing;
  const auto fill = [&](const at::Tensor& target, const std::string& disk_name) {
    const at::Tensor* source = find_tensor(tensors, disk_name, used);
    if (!source) return missing.push_back(disk_name);
    if (source->sizes() != target.sizes())
      fail(ErrorCode::ShapeMismatch, "{}: tensor '{}' has shape {}, the model expects {}", where,
           disk_name, shape_text(source->sizes()), shape_text(target.sizes()));
    target.copy_(*source);
  };
  for (const nn::Parameter& parameter : model.parameters()) {
    const std::vector<std::string> names = disk_names(parameter, model.config());
    if (!parameter.tags.is_expert()) {
      fill(parameter.tensor.detach(), names.front());
      continue;
    }
    for (size_t e = 0; e < names.size(); ++e)
      fill(parameter.tensor.detach().select(parameter.tags.expert_axis, static_cast<int64_t>(e)),
           names[e]);
  }
  std::vector<std::string> unused;
  for (const auto& [name, tensor] : tensors)
    if (!used.count(name) && !is_redundant(name, model.config())) unused.push_back(name);
  if (!missing.empty())
    fail(ErrorCode::CorruptFile, "{}: {} parameter(s) of the model are not in the file: {}{}",
         where, missing.size(), list_text(missing),
         unused.empty() ? "" : "; in the file but not in the model: " + list_text(unused));
  if (!unused.empty())
    fail(ErrorCode::CorruptFile,
         "{}: {} tensor(s) in the file belong to no parameter of the model: {}", where,
         unused.size(), list_text(unused));
}

LoadedModel load_model(const std::string& folder, at::ScalarType dtype, const at::Device& device) {
  const Json json = load_config_json(folder);
  ModelConfig config = parse_hf_config(json, config_path(folder));
  const checkpoint::NamedTensors tensors = checkpoint::load_folder(folder);
  config = settle_tying(config, json, tensors);
  LoadedModel loaded;
  loaded.folder = folder;
  loaded.model = std::make_unique<Model>(config, std::nullopt, dtype, device);
  fill_from_named_tensors(*loaded.model, tensors, folder);
  if (is_file(folder + "/spiece.model"))
    loaded.tokenizer = std::make_shared<text::Tokenizer>(text::Tokenizer::load(folder));
  return loaded;
}

LoadedModel load_model_with_tokenizer(const std::string& folder, at::ScalarType dtype,
                                      const at::Device& device) {
  if (is_folder(folder) && !is_file(folder + "/spiece.model"))
    fail(ErrorCode::NotFound, "[model] '{}' has no tokenizer: expected a file spiece.model in it",
         folder);
  LoadedModel loaded = load_model(folder, dtype, device);
  if (loaded.tokenizer->size() > loaded.model->config().vocab_size)
    fail(ErrorCode::ShapeMismatch,
         "[model] '{}': the tokenizer has {} ids but the model only {} rows", folder,
         loaded.tokenizer->size(), loaded.model->config().vocab_size);
  return loaded;
}

void save_model(const std::string& folder, const Model& model, const text::Tokenizer* tokenizer,
                int64_t max_shard_bytes) {
  AtomicFolder aside(folder);
  const Json config = to_hf_config(model.config());
  write_file_atomically(aside.path() + "/config.json", config.dump(2) + "\n");
  if (config.contains("auto_map"))
    write_file_atomically(aside.path() + "/modeling_flanmoe.py", modeling_file());
  write_file_atomically(aside.path() + "/generation_config.json",
                        to_hf_generation_config(model.config()).dump(2) + "\n");
  checkpoint::save_folder(aside.path(), to_named_tensors(model), max_shard_bytes);
  if (tokenizer) tokenizer->save(aside.path());
  aside.commit();
}

std::string folder_hash(const std::string& folder) {
  return hash_path(folder);
}

}  // namespace flanmoe::model
