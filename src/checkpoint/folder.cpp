#include <ATen/core/Tensor.h>

#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/nearest.h"
#include "checkpoint/named_tensors.h"

namespace flanmoe::checkpoint {
namespace {

constexpr const char* kSafetensors = "model.safetensors";
constexpr const char* kSafetensorsIndex = "model.safetensors.index.json";
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

NamedTensors load_shards(const std::string& folder, const std::string& index,
                         NamedTensors (*load)(const std::string&)) {
  const std::string index_path = folder + "/" + index;
  NamedTensors result;
  for (const auto& [shard, names] : load_weight_map(index_path)) {
    const std::string path = folder + "/" + shard;
    if (!is_file(path))
      fail(ErrorCode::NotFound, "[checkpoint] no shard '{}' that {} names for '{}'", path, index,
           names.front());
    NamedTensors tensors = load(path);
    const std::set<std::string> listed(names.begin(), names.end());
    for (const std::string& name : names)
      if (!tensors.contains(name)) {
        std::vector<std::string> candidates;
        for (const auto& [candidate, tensor] : tensors) candidates.push_back(candidate);
        const std::string near = nearest_name(name, candidates);
        fail(ErrorCode::CorruptFile,
             "{}: tensor '{}' is said to be in '{}', which does not have it{}", index_path, name,
             shard, near.empty() ? "" : fmt::format(" (it has '{}')", near));
      }
    for (auto& [name, tensor] : tensors) {
      if (!listed.contains(name))
        fail(ErrorCode::CorruptFile, "{}: tensor '{}' of '{}' is not in the index", index_path,
             name, shard);
      result.emplace(name, std::move(tensor));
    }
  }
  return result;
}

}  // namespace

NamedTensors load_folder(const std::string& folder) {
  const auto has = [&](const char* name) { return is_file(folder + "/" + name); };
  const auto load_file = [](const std::string& path) { return load_safetensors(path); };
  if (has(kSafetensors)) return load_file(folder + "/" + kSafetensors);
  if (has(kSafetensorsIndex)) return load_shards(folder, kSafetensorsIndex, load_file);
  if (has(kBin)) return load_pytorch_bin(folder + "/" + kBin);
  if (has(kBinIndex)) return load_shards(folder, kBinIndex, load_pytorch_bin);
  fail(ErrorCode::NotFound, "[checkpoint] '{}' has none of {}, {}, {}, {}{}", folder, kSafetensors,
       kSafetensorsIndex, kBin, kBinIndex, is_folder(folder) ? "" : " (there is no such folder)");
}

void save_folder(const std::string& folder, const NamedTensors& tensors, int64_t max_shard_bytes) {
  if (max_shard_bytes <= 0)
    fail(ErrorCode::InvalidArgument, "[checkpoint] max_shard_bytes is {}, expected more than 0",
         max_shard_bytes);
  make_folders(folder);
  std::vector<NamedTensors> shards(1);
  int64_t total_bytes = 0, shard_bytes = 0;
  for (const auto& [name, tensor] : tensors) {
    if (!tensor.defined())
      fail(ErrorCode::InvalidArgument, "[checkpoint] cannot save '{}': tensor '{}' is undefined",
           folder, name);
    const auto size = static_cast<int64_t>(tensor.nbytes());
    if (shard_bytes + size > max_shard_bytes && !shards.back().empty()) {
      shards.emplace_back();
      shard_bytes = 0;
    }
    shards.back().emplace(name, tensor);
    shard_bytes += size;
    total_bytes += size;
  }
  if (shards.size() == 1) return save_safetensors(folder + "/" + kSafetensors, shards.front());

  nlohmann::json weight_map = nlohmann::json::object();
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string file = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    save_safetensors(folder + "/" + file, shards[i]);
    for (const auto& [name, tensor] : shards[i]) weight_map[name] = file;
  }
  const nlohmann::json index = {{"metadata", {{"total_size", total_bytes}}},
                                {"weight_map", std::move(weight_map)}};
  write_file_atomically(folder + "/" + kSafetensorsIndex, index.dump(2) + "\n");
}

}  // namespace flanmoe::checkpoint
