#include <ATen/core/Tensor.h>

#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/nearest.h"
#include "checkpoint/named_tensors.h"
#include "checkpoint/safetensors_format.h"
#include "checkpoint/tensor_reader.h"
#include "checkpoint/tensor_writer.h"

namespace flanmoe::checkpoint {
namespace {

constexpr const char* kBin = "pytorch_model.bin";
constexpr const char* kBinIndex = "pytorch_model.bin.index.json";

// "shard file" -> names of its tensors.
using WeightMap = std::map<std::string, std::vector<std::string>>;

WeightMap load_weight_map(const std::string& path) {
  // Not load_json(): lookups in that object are linear, and a mixture of experts has thousands of
  // names.
  nlohmann::json index;
  try {
    index = nlohmann::json::parse(read_file(path));
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorCode::CorruptFile, "{}: not JSON: {}", path, error.what());
  }
  const auto found = index.is_object() ? index.find("weight_map") : index.end();
  if (!index.is_object() || found == index.end() || !found->is_object())
    fail(ErrorCode::CorruptFile, "{}: no object 'weight_map'", path);
  WeightMap result;
  for (const auto& [name, file] : found->items()) {
    if (!file.is_string())
      fail(ErrorCode::CorruptFile, "{}: weight_map: '{}' is {}, expected the name of a file", path,
           name, file.type_name());
    const auto& shard = file.get_ref<const std::string&>();
    if (shard.empty() || shard.find('/') != std::string::npos ||
        shard.find('\0') != std::string::npos || shard == "." || shard == "..")
      fail(ErrorCode::CorruptFile,
           "{}: weight_map: '{}' is said to be in '{}', expected a file of the same folder", path,
           name, file.dump());
    result[shard].push_back(name);
  }
  return result;
}

}  // namespace

TensorReader::TensorReader(const std::string& folder) {
  const auto has = [&](const char* name) { return is_file(folder + "/" + name); };
  const auto open_file = [](const std::string& path) { return open_safetensors(path); };
  if (has(kSafetensorsFile))
    add(open_file(folder + "/" + kSafetensorsFile));
  else if (has(kSafetensorsIndex))
    open_shards(folder, kSafetensorsIndex, open_file);
  else if (has(kBin))
    add(open_pytorch_bin(folder + "/" + kBin));
  else if (has(kBinIndex))
    open_shards(folder, kBinIndex, open_pytorch_bin);
  else
    fail(ErrorCode::NotFound, "[checkpoint] '{}' has none of {}, {}, {}, {}{}", folder,
         kSafetensorsFile, kSafetensorsIndex, kBin, kBinIndex,
         is_folder(folder) ? "" : " (there is no such folder)");
}

void TensorReader::add(std::unique_ptr<TensorFile> file) {
  for (const auto& [name, info] : file->tensors()) {
    tensors_[name] = info;
    file_of_[name] = file.get();
  }
  files_.push_back(std::move(file));
}

void TensorReader::open_shards(const std::string& folder, const std::string& index,
                               std::unique_ptr<TensorFile> (*open)(const std::string&)) {
  const std::string index_path = folder + "/" + index;
  for (const auto& [shard, names] : load_weight_map(index_path)) {
    const std::string path = folder + "/" + shard;
    if (!is_file(path))
      fail(ErrorCode::NotFound, "[checkpoint] no shard '{}' that {} names for '{}'", path, index,
           names.front());
    std::unique_ptr<TensorFile> file = open(path);
    const std::set<std::string> listed(names.begin(), names.end());
    for (const std::string& name : names)
      if (!file->tensors().contains(name)) {
        const std::string near = nearest_name(name, file->names());
        fail(ErrorCode::CorruptFile,
             "{}: tensor '{}' is said to be in '{}', which does not have it{}", index_path, name,
             shard, near.empty() ? "" : fmt::format(" (it has '{}')", near));
      }
    for (const std::string& name : file->names())
      if (!listed.contains(name))
        fail(ErrorCode::CorruptFile, "{}: tensor '{}' of '{}' is not in the index", index_path,
             name, shard);
    add(std::move(file));
  }
}

std::vector<std::string> TensorReader::names() const {
  std::vector<std::string> names;
  for (const auto& file : files_)
    names.insert(names.end(), file->names().begin(), file->names().end());
  return names;
}

at::Tensor TensorReader::read(const std::string& name) const {
  return file_of_.at(name)->read(name);
}

at::Tensor TensorReader::read_elements(const std::string& name, int64_t first,
                                       int64_t count) const {
  return file_of_.at(name)->read_elements(name, first, count);
}

NamedTensors load_folder(const std::string& folder) {
  const TensorReader reader(folder);
  NamedTensors tensors;
  for (const std::string& name : reader.names()) tensors.emplace(name, reader.read(name));
  return tensors;
}

void save_folder(const std::string& folder, const NamedTensors& tensors, int64_t max_shard_bytes) {
  FolderWriter writer(folder, describe_tensors(tensors, folder), max_shard_bytes);
  for (const std::string& name : writer.order()) writer.write(name, tensors.at(name));
  writer.finish();
}

}  // namespace flanmoe::checkpoint
