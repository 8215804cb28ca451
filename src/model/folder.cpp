#include "model/folder.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "model/adapter_folder.h"
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

// Disk name -> name in the file, of every tensor of the model. Throws as load_model() says.
std::map<std::string, std::string> match_tensors(const nn::Parameters& parameters,
                                                 const std::vector<DiskTensor>& wanted,
                                                 const ModelConfig& config,
                                                 const checkpoint::TensorInfos& tensors,
                                                 const std::string& where) {
  std::map<std::string, std::string> matched;
  std::set<std::string> used;
  std::vector<std::string> missing;
  for (const DiskTensor& tensor : wanted) {
    const std::vector<std::string> names = accepted_names(tensor.name);
    const auto name = std::find_if(names.begin(), names.end(),
                                   [&](const std::string& n) { return tensors.contains(n); });
    if (name == names.end()) {
      missing.push_back(tensor.name);
      continue;
    }
    const nn::Parameter& parameter = parameters[tensor.parameter];
    const at::IntArrayRef found = tensors.at(*name).shape;
    std::vector<int64_t> expected = parameter.tensor.sizes().vec();
    if (tensor.expert >= 0) expected.erase(expected.begin() + parameter.tags.expert_axis);
    if (found != at::IntArrayRef(expected))
      fail(ErrorCode::ShapeMismatch, "{}: tensor '{}' has shape {}, the model expects {}", where,
           tensor.name, shape_text(found), shape_text(expected));
    used.insert(*name);
    matched.emplace(tensor.name, *name);
  }
  std::vector<std::string> unused;
  for (const auto& [name, info] : tensors)
    if (!used.contains(name) && !is_redundant(name, config)) unused.push_back(name);
  if (!missing.empty())
    fail(ErrorCode::CorruptFile, "{}: {} parameter(s) of the model are not in the file: {}{}",
         where, missing.size(), list_text(missing),
         unused.empty() ? "" : "; in the file but not in the model: " + list_text(unused));
  if (!unused.empty())
    fail(ErrorCode::CorruptFile,
         "{}: {} tensor(s) in the file belong to no parameter of the model: {}", where,
         unused.size(), list_text(unused));
  return matched;
}

std::string config_path(const std::string& folder) {
  return folder + "/config.json";
}

Json load_config_json(const std::string& folder) {
  if (!is_folder(folder)) fail(ErrorCode::NotFound, "[model] there is no folder '{}'", folder);
  if (is_adapter_folder(folder))
    fail(ErrorCode::Unsupported,
         "[model] '{}' is an adapter's folder, expected that of a whole model ('flanmoe merge' "
         "makes one of a LoRA, (IA)3 or norm adapter)",
         folder);
  return load_json(config_path(folder));
}

// Whether input and output share a matrix is for the file to say: a config of transformers 5 has
// tie_word_embeddings = true also where they do not, and a tied model may come with a copy. A
// config that says they differ is believed, so that a lost output matrix is an error.
ModelConfig settle_tying(ModelConfig config, const Json& json,
                         const checkpoint::TensorReader& reader) {
  const auto& tensors = reader.tensors();
  const auto output = tensors.find("lm_head.weight"), input = tensors.find("shared.weight");
  if (output == tensors.end()) {
    const auto says_tied = json.find("tie_word_embeddings");
    config.has_tied_embeddings =
        says_tied == json.end() || says_tied->is_null() || says_tied->get<bool>();
  } else if (config.has_tied_embeddings && input != tensors.end()) {
    config.has_tied_embeddings =
        input->second.dtype == output->second.dtype &&
        input->second.shape == output->second.shape &&
        at::equal(reader.read("shared.weight"), reader.read("lm_head.weight"));
  }
  return config;
}

}  // namespace

ModelConfig load_model_config(const std::string& folder) {
  if (is_adapter_folder(folder)) return load_model_config(find_adapter_base(folder).path);
  return parse_hf_config(load_config_json(folder), config_path(folder));
}

checkpoint::NamedTensors to_named_tensors(const Model& model) {
  const at::NoGradGuard no_grad;
  checkpoint::NamedTensors tensors;
  for (const DiskTensor& tensor : list_disk_tensors(model.parameters(), model.config())) {
    const nn::Parameter& parameter = model.parameters()[tensor.parameter];
    tensors[tensor.name] = part_on_disk(parameter.tensor.detach(), parameter, tensor).cpu();
  }
  return tensors;
}

void fill_from_named_tensors(Model& model, const checkpoint::NamedTensors& tensors,
                             const std::string& where) {
  const at::NoGradGuard no_grad;
  checkpoint::TensorInfos infos;
  for (const auto& [name, tensor] : tensors)
    infos[name] = {tensor.scalar_type(), tensor.sizes().vec()};
  const std::vector<DiskTensor> wanted = list_disk_tensors(model.parameters(), model.config());
  const auto matched = match_tensors(model.parameters(), wanted, model.config(), infos, where);
  for (const DiskTensor& tensor : wanted) {
    const nn::Parameter& parameter = model.parameters()[tensor.parameter];
    part_on_disk(parameter.tensor.detach(), parameter, tensor)
        .copy_(tensors.at(matched.at(tensor.name)));
  }
}

ModelReader::ModelReader(const std::string& folder)
    : ModelReader(folder, load_config_json(folder)) {}

ModelReader::ModelReader(const std::string& folder, const Json& json)
    : folder_(folder), config_(parse_hf_config(json, config_path(folder))), reader_(folder) {
  config_ = settle_tying(config_, json, reader_);
  const nn::Parameters parameters = describe_parameters(config_);
  file_names_ = match_tensors(parameters, list_disk_tensors(parameters, config_), config_,
                              reader_.tensors(), folder);
}

at::Tensor ModelReader::read(const std::string& disk_name) const {
  return reader_.read(file_names_.at(disk_name));
}

at::Tensor ModelReader::read_elements(const std::string& disk_name, int64_t first,
                                      int64_t count) const {
  return reader_.read_elements(file_names_.at(disk_name), first, count);
}

std::shared_ptr<const text::Tokenizer> ModelReader::load_tokenizer() const {
  if (!is_file(folder_ + "/spiece.model")) return nullptr;
  return std::make_shared<text::Tokenizer>(text::Tokenizer::load(folder_));
}

void ModelReader::read_all(
    const std::function<void(const DiskTensor&, const at::Tensor&)>& visit) const {
  for (const DiskTensor& tensor : list_disk_tensors(describe_parameters(config_), config_))
    visit(tensor, read(tensor.name));
}

namespace {

LoadedModel load_base(const std::string& folder, at::ScalarType dtype, const at::Device& device,
                      BaseHasher* hasher) {
  const ModelReader reader(folder);
  LoadedModel loaded;
  loaded.folder = loaded.base_folder = folder;
  loaded.model = std::make_unique<Model>(reader.config(), std::nullopt, dtype, device);
  const nn::Parameters& parameters = loaded.model->parameters();
  if (hasher) hasher->add(reader.config());
  reader.read_all([&](const DiskTensor& tensor, const at::Tensor& values) {
    if (hasher) hasher->add(tensor.name, values);
    const nn::Parameter& parameter = parameters[tensor.parameter];
    part_on_disk(parameter.tensor.detach(), parameter, tensor).copy_(values);
  });
  loaded.tokenizer = reader.load_tokenizer();
  return loaded;
}

// Where the weights of what `folder` is are.
std::string find_base_folder(const std::string& folder, const LoadOptions& options) {
  if (!is_adapter_folder(folder)) return folder;
  return options.base.empty() ? find_adapter_base(folder).path : options.base;
}

}  // namespace

LoadedModel load_model(const std::string& folder, at::ScalarType dtype, const at::Device& device,
                       const LoadOptions& options) {
  const at::NoGradGuard no_grad;
  const bool is_adapter = is_adapter_folder(folder);
  if (!options.base.empty() && !is_adapter)
    fail(ErrorCode::InvalidArgument,
         "[model] a base is given ('{}'), but '{}' is no adapter's folder", options.base, folder);
  std::vector<NamedAdapter> adapters = options.adapters;
  if (is_adapter) adapters.insert(adapters.begin(), {"default", folder});
  for (const NamedAdapter& adapter : adapters) check_adapter_folder(adapter.folder);

  BaseHasher hasher;
  LoadedModel loaded = load_base(find_base_folder(folder, options), dtype, device,
                                 adapters.empty() ? nullptr : &hasher);
  loaded.folder = folder;
  AdapterLoadOptions load_options;
  load_options.ignores_base_hash = options.ignores_base_hash;
  if (!adapters.empty()) load_options.base_hash = hasher.hex();
  for (const NamedAdapter& adapter : adapters) {
    const int64_t number = loaded.model->attach(
        load_adapter(adapter.folder, adapter.name, *loaded.model, load_options));
    if (&adapter == &adapters.front() && (is_adapter || adapters.size() == 1))
      loaded.model->activate(number);
  }
  return loaded;
}

LoadedModel load_model_with_tokenizer(const std::string& folder, at::ScalarType dtype,
                                      const at::Device& device, const LoadOptions& options) {
  const std::string base = find_base_folder(folder, options);
  if (is_folder(base) && !is_file(base + "/spiece.model"))
    fail(ErrorCode::NotFound, "[model] '{}' has no tokenizer: expected a file spiece.model in it",
         base);
  LoadedModel loaded = load_model(folder, dtype, device, options);
  if (loaded.tokenizer->size() > loaded.model->config().vocab_size)
    fail(ErrorCode::ShapeMismatch,
         "[model] '{}': the tokenizer has {} ids but the model only {} rows", base,
         loaded.tokenizer->size(), loaded.model->config().vocab_size);
  return loaded;
}

void save_model(const std::string& folder, const Model& model, const text::Tokenizer* tokenizer,
                int64_t max_shard_bytes, const std::function<void(const std::string&)>& add) {
  AtomicFolder aside(folder);
  checkpoint::save_folder(aside.path(), to_named_tensors(model), max_shard_bytes);
  save_description(aside.path(), model.config(), tokenizer,
                   model.parameters().front().tensor.scalar_type());
  if (add) add(aside.path());
  aside.commit();
}

void save_description(const std::string& folder, const ModelConfig& config,
                      const text::Tokenizer* tokenizer, at::ScalarType dtype) {
  Json json = to_hf_config(config);
  if (dtype == at::kBFloat16) json["torch_dtype"] = "bfloat16";
  if (dtype == at::kHalf) json["torch_dtype"] = "float16";
  write_file_atomically(folder + "/config.json", json.dump(2) + "\n");
  if (json.contains("auto_map"))
    write_file_atomically(folder + "/modeling_flanmoe.py", modeling_file());
  write_file_atomically(folder + "/generation_config.json",
                        to_hf_generation_config(config).dump(2) + "\n");
  if (tokenizer) tokenizer->save(folder);
}

std::string folder_hash(const std::string& folder) {
  return hash_path(folder);
}

}  // namespace flanmoe::model
