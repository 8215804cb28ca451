#include "model/name_table.h"

namespace flanmoe::model {
namespace {

std::string replace_once(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  if (at != std::string::npos) text.replace(at, from.size(), to);
  return text;
}

}  // namespace

std::vector<std::string> disk_names(const nn::Parameter& parameter, const ModelConfig& config) {
  if (!parameter.tags.is_expert())
    return {config.is_sparse() ? replace_once(parameter.name, ".DenseReluDense.", ".mlp.")
                               : parameter.name};
  std::vector<std::string> names;
  for (int64_t e = 0; e < parameter.tensor.size(parameter.tags.expert_axis); ++e)
    names.push_back(
        replace_once(parameter.name, ".experts.", ".experts.expert_" + std::to_string(e) + "."));
  return names;
}

std::vector<DiskTensor> list_disk_tensors(const nn::Parameters& parameters,
                                          const ModelConfig& config) {
  std::vector<DiskTensor> tensors;
  for (size_t i = 0; i < parameters.size(); ++i) {
    std::vector<std::string> names = disk_names(parameters[i], config);
    for (size_t e = 0; e < names.size(); ++e)
      tensors.push_back(
          {std::move(names[e]), i, parameters[i].tags.is_expert() ? static_cast<int64_t>(e) : -1});
  }
  return tensors;
}

at::Tensor part_on_disk(const at::Tensor& whole, const nn::Parameter& parameter,
                        const DiskTensor& tensor) {
  return tensor.expert < 0 ? whole : whole.select(parameter.tags.expert_axis, tensor.expert);
}

std::vector<std::string> accepted_names(const std::string& disk_name) {
  std::vector<std::string> names = {disk_name};
  for (const auto& other : {replace_once(disk_name, ".mlp.w", ".DenseReluDense.w"),
                            replace_once(disk_name, ".DenseReluDense.w", ".mlp.w")})
    if (other != disk_name) names.push_back(other);
  return names;
}

bool is_redundant(const std::string& disk_name, const ModelConfig& config) {
  return disk_name == "encoder.embed_tokens.weight" || disk_name == "decoder.embed_tokens.weight" ||
         disk_name == "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight" ||
         (disk_name == "lm_head.weight" && config.has_tied_embeddings);
}

}  // namespace flanmoe::model
