#include "model/adapter_folder.h"

#include <ATen/core/grad_mode.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "checkpoint/dtype.h"
#include "checkpoint/tensor_file.h"
#include "model/folder.h"
#include "model/peft_format.h"

namespace flanmoe::model {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBaseHashKey = "base_hash";  // of the safetensors metadata
constexpr const char* kBasePathKey = "base_path";  // relative to the adapter's folder

std::string config_path(const std::string& folder) {
  return folder + "/" + kAdapterConfigFile;
}
std::string weights_path(const std::string& folder) {
  return folder + "/" + kAdapterWeightsFile;
}

std::string shape_text(at::IntArrayRef shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
}

std::string list_text(const std::vector<std::string>& names) {
  constexpr size_t kShown = 6;
  std::string text;
  for (size_t i = 0; i < names.size() && i < kShown; ++i) text += (i ? ", " : "") + names[i];
  return names.size() > kShown ? fmt::format("{} and {} more", text, names.size() - kShown) : text;
}

std::map<std::string, std::string> load_metadata(const std::string& folder) {
  std::map<std::string, std::string> metadata;
  (void)checkpoint::open_safetensors(weights_path(folder), &metadata);
  return metadata;
}

Json load_adapter_json(const std::string& folder) {
  check_adapter_folder(folder);
  Json json = load_json(config_path(folder));
  if (!json.is_object())
    fail(ErrorCode::CorruptFile, "{}: expected an object", config_path(folder));
  return json;
}

void fill(const peft::Adapter& adapter, const peft_format::Reading& reading,
          checkpoint::TensorFile& file, const std::string& path) {
  const at::NoGradGuard no_grad;
  std::map<std::string, const nn::Parameter*> parameters;
  for (const nn::Parameter& parameter : adapter.parameters())
    parameters.emplace(parameter.name, &parameter);
  std::vector<std::string> unexpected;
  std::vector<std::pair<std::string, const nn::Parameter*>> matched;
  for (const auto& [disk_name, info] : file.tensors()) {
    const auto place = reading.places.find(disk_name);
    const auto found =
        place == reading.places.end() ? parameters.end() : parameters.find(place->second.parameter);
    if (found == parameters.end()) {
      unexpected.push_back(disk_name);
      continue;
    }
    matched.emplace_back(disk_name, found->second);
    parameters.erase(found);
  }
  std::vector<std::string> missing;
  for (const auto& [name, parameter] : parameters) missing.push_back(name);
  if (!missing.empty() || !unexpected.empty()) {
    std::string text;
    if (!missing.empty())
      text += fmt::format("{} parameter(s) of the adapter are not in the file: {}", missing.size(),
                          list_text(missing));
    if (!unexpected.empty())
      text += fmt::format("{}{} tensor(s) in the file belong to no parameter of the adapter: {}",
                          missing.empty() ? "" : "; ", unexpected.size(), list_text(unexpected));
    fail(ErrorCode::CorruptFile, "{}: {} (is it for this base?)", path, text);
  }
  for (const auto& [disk_name, parameter] : matched) {
    const std::vector<int64_t>& found = file.tensors().at(disk_name).shape;
    const std::vector<int64_t> expected =
        peft_format::disk_shape(*parameter, reading.places.at(disk_name).layout);
    if (found != expected)
      fail(ErrorCode::ShapeMismatch,
           "{}: tensor '{}' has shape {}, the model expects {}: the adapter was made for another "
           "base",
           path, disk_name, shape_text(found), shape_text(expected));
  }
  for (const auto& [disk_name, parameter] : matched)
    parameter->tensor.detach().copy_(file.read(disk_name).reshape(parameter->tensor.sizes()));
}

peft_format::Reading read_format(const std::string& folder, const nn::Sites& sites,
                                 const checkpoint::TensorFile& file) {
  return peft_format::read(load_adapter_json(folder), config_path(folder), sites, file.tensors());
}

}  // namespace

void BaseHasher::add(const ModelConfig& config) {
  // Without what only training reads, so that a changed dropout rate is not another base.
  ModelConfig kept = config;
  kept.dropout_rate = 0;
  hasher_.add(to_hf_config(kept).dump());
}

void BaseHasher::add(const std::string& disk_name, const at::Tensor& values) {
  const at::Tensor dense = values.cpu().contiguous();
  hasher_.add(fmt::format("{} {} {}\n", disk_name, checkpoint::dtype_name(dense.scalar_type()),
                          shape_text(dense.sizes())));
  hasher_.add({static_cast<const char*>(dense.const_data_ptr()), dense.nbytes()});
}

std::string base_hash(const std::string& folder) {
  const ModelReader reader(folder);
  BaseHasher hasher;
  hasher.add(reader.config());
  reader.read_all(
      [&](const DiskTensor& tensor, const at::Tensor& values) { hasher.add(tensor.name, values); });
  return hasher.hex();
}

bool is_adapter_folder(const std::string& folder) {
  return is_file(config_path(folder)) && !is_file(folder + "/config.json");
}

void check_adapter_folder(const std::string& folder) {
  if (!is_folder(folder)) fail(ErrorCode::NotFound, "[adapter] there is no folder '{}'", folder);
  for (const char* file : {kAdapterConfigFile, kAdapterWeightsFile})
    if (!is_file(folder + "/" + file))
      fail(ErrorCode::NotFound, "[adapter] '{}' has no {}{}", folder, file,
           is_file(folder + "/adapter_model.bin")
               ? " but an adapter_model.bin: save it with safe_serialization"
           : is_file(folder + "/config.json") ? ": it is the folder of a whole model"
                                              : "");
}

AdapterBase find_adapter_base(const std::string& folder) {
  const Json json = load_adapter_json(folder);
  const auto metadata = load_metadata(folder);
  const auto metadata_text = [&](const char* key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::string() : found->second;
  };
  const auto key = json.find("base_model_name_or_path");
  const std::string name =
      key != json.end() && key->is_string() ? key->get<std::string>() : std::string();
  std::vector<std::string> candidates;
  if (!name.empty() && fs::path(name).is_absolute()) candidates = {name};
  if (!name.empty() && !fs::path(name).is_absolute())
    candidates = {
        (fs::path(folder) / name).lexically_normal().string(), name,
        (fs::absolute(folder).lexically_normal() / ".." / name).lexically_normal().string()};
  if (const std::string relative = metadata_text(kBasePathKey); !relative.empty())
    candidates.push_back((fs::absolute(folder) / relative).lexically_normal().string());
  for (const std::string& candidate : candidates)
    if (is_file(candidate + "/config.json")) return {candidate, metadata_text(kBaseHashKey)};
  fail(ErrorCode::NotFound,
       "{}: base_model_name_or_path is '{}', and no such model folder is there (looked at: {}); "
       "give it with --base DIR",
       config_path(folder), name, candidates.empty() ? "nothing" : list_text(candidates));
}

AdapterFiles describe_adapter(const std::string& folder, const peft::Adapter& adapter,
                              const Model& model, const AdapterBase& base) {
  AdapterBase named = base;
  AdapterFiles files;
  files.metadata = {{"format", "pt"}};
  if (is_folder(base.path)) {
    const fs::path absolute = fs::absolute(base.path).lexically_normal();
    named.path = absolute.string();
    while (named.path.size() > 1 && named.path.back() == '/') named.path.pop_back();
    files.metadata[kBasePathKey] =
        fs::path(named.path).lexically_relative(fs::absolute(folder).lexically_normal()).string();
  }
  if (!base.hash.empty()) files.metadata[kBaseHashKey] = base.hash;
  peft_format::Written written =
      peft_format::write(adapter, model.sites(), model.config(), named.path);
  files.config = written.json.dump(2) + "\n";
  files.tensors = std::move(written.tensors);
  return files;
}

void write_adapter_files(const std::string& folder, const AdapterFiles& files) {
  const at::NoGradGuard no_grad;
  checkpoint::NamedTensors tensors;
  for (const auto& [name, tensor] : files.tensors) tensors[name] = tensor.cpu();
  checkpoint::save_safetensors(weights_path(folder), tensors, files.metadata);
  // Last: a folder with a config has its weights.
  write_file_atomically(config_path(folder), files.config);
}

void save_adapter(const std::string& folder, const peft::Adapter& adapter, const Model& model,
                  const AdapterBase& base) {
  recover_folder(folder);
  AtomicFolder aside(folder);
  write_adapter_files(aside.path(), describe_adapter(folder, adapter, model, base));
  aside.commit();
}

peft::Config load_adapter_config(const std::string& folder, const nn::Sites& sites) {
  check_adapter_folder(folder);
  return read_format(folder, sites, *checkpoint::open_safetensors(weights_path(folder))).config;
}

std::shared_ptr<const peft::Adapter> load_adapter(const std::string& folder,
                                                  const std::string& name, const Model& model,
                                                  const AdapterLoadOptions& options) {
  check_adapter_folder(folder);
  std::map<std::string, std::string> metadata;
  const auto file = checkpoint::open_safetensors(weights_path(folder), &metadata);
  const nn::Sites sites = model.sites();
  const peft_format::Reading reading = read_format(folder, sites, *file);
  const auto adapter =
      std::make_shared<peft::Adapter>(name, reading.config, sites, 0, config_path(folder));
  fill(*adapter, reading, *file, weights_path(folder));
  const std::string& made_for = metadata[kBaseHashKey];
  if (!options.base_hash.empty() && !made_for.empty() && options.base_hash != made_for) {
    const std::string what =
        fmt::format("[adapter] '{}' was made for a base whose hash is {}, this one's is {}", folder,
                    made_for, options.base_hash);
    if (!options.ignores_base_hash)
      fail(ErrorCode::ShapeMismatch,
           "{}: same shapes, other weights. Give the right one with --base DIR, or "
           "--ignore-base-hash to use this one all the same",
           what);
    log::warn("{}", what);
  }
  return adapter;
}

void fill_adapter(const peft::Adapter& adapter, const std::string& folder, const Model& model) {
  check_adapter_folder(folder);
  const auto file = checkpoint::open_safetensors(weights_path(folder));
  fill(adapter, read_format(folder, model.sites(), *file), *file, weights_path(folder));
}

}  // namespace flanmoe::model
