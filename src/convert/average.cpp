#include "convert/average.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <memory>
#include <numeric>

#include "base/error.h"
#include "convert/write_folder.h"

namespace flanmoe::convert {
namespace {

std::vector<double> check_weights(std::vector<double> weights, size_t num_folders) {
  if (weights.empty()) weights.assign(num_folders, 1.0);
  if (weights.size() != num_folders)
    fail(ErrorCode::InvalidArgument, "[average.weights] there are {} for {} models", weights.size(),
         num_folders);
  for (const double weight : weights)
    if (!std::isfinite(weight) || weight < 0)
      fail(ErrorCode::InvalidArgument, "[average.weights] expected 0 or more, found {}", weight);
  if (std::accumulate(weights.begin(), weights.end(), 0.0) <= 0)
    fail(ErrorCode::InvalidArgument, "[average.weights] all are 0");
  return weights;
}

void check_same_config(const std::string& first, const model::ModelConfig& expected,
                       const std::string& other, const model::ModelConfig& found) {
  const Json a = model::to_hf_config(expected), b = model::to_hf_config(found);
  const std::string key = find_difference(a, b);
  if (!key.empty())
    fail(ErrorCode::InvalidConfig, "[average] the models differ: {} is {} in '{}' and {} in '{}'",
         key, value_text(a, key), first, value_text(b, key), other);
}

}  // namespace

model::ModelConfig average_folders(const std::vector<std::string>& folders, const std::string& out,
                                   const std::vector<double>& given_weights, at::ScalarType dtype,
                                   int64_t max_shard_bytes) {
  if (folders.empty()) fail(ErrorCode::InvalidArgument, "[average] expected at least one model");
  const std::vector<double> weights = check_weights(given_weights, folders.size());
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<std::unique_ptr<model::ModelReader>> readers;
  for (const std::string& folder : folders) {
    readers.push_back(std::make_unique<model::ModelReader>(folder));
    check_same_config(folders.front(), readers.front()->config(), folder, readers.back()->config());
  }
  const model::ModelConfig config = readers.front()->config();
  write_model_folder(out, config, dtype, max_shard_bytes, readers.front()->load_tokenizer().get(),
                     "average", [&](const nn::Parameter&, const model::DiskTensor& tensor) {
                       at::Tensor sum;
                       for (size_t i = 0; i < readers.size(); ++i) {
                         const at::Tensor value =
                             readers[i]->read(tensor.name).to(at::kDouble).mul_(weights[i]);
                         sum = sum.defined() ? sum.add_(value) : value;
                       }
                       return sum.div_(total);
                     });
  return config;
}

}  // namespace flanmoe::convert
