#include "convert/average.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "base/error.h"
#include "base/json.h"
#include "convert/write_folder.h"

namespace flanmoe::convert {
namespace {

using Readers = std::vector<std::unique_ptr<model::ModelReader>>;

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

// Some elements at a time, so that only the mean is there whole.
at::Tensor average_tensor(const Readers& readers, const std::vector<double>& weights,
                          const nn::Parameter& parameter, const model::DiskTensor& tensor) {
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  const at::Tensor like = model::part_on_disk(parameter.tensor, parameter, tensor);
  const at::Tensor mean = at::empty(like.sizes(), like.scalar_type());
  const at::Tensor flat = mean.view(-1);
  constexpr int64_t kBlock = int64_t{1} << 22;
  for (int64_t first = 0; first < flat.size(0); first += kBlock) {
    const int64_t count = std::min(kBlock, flat.size(0) - first);
    at::Tensor sum = at::zeros({count}, at::kDouble);
    for (size_t i = 0; i < readers.size(); ++i)
      sum.add_(readers[i]->read_elements(tensor.name, first, count).to(at::kDouble), weights[i]);
    flat.narrow(0, first, count).copy_(sum.div_(total));
  }
  return mean;
}

}  // namespace

model::ModelConfig average_folders(const std::vector<std::string>& folders, const std::string& out,
                                   const std::vector<double>& given_weights, at::ScalarType dtype,
                                   int64_t max_shard_bytes) {
  if (folders.empty()) fail(ErrorCode::InvalidArgument, "[average] expected at least one model");
  const std::vector<double> weights = check_weights(given_weights, folders.size());
  Readers readers;
  for (const std::string& folder : folders) {
    readers.push_back(std::make_unique<model::ModelReader>(folder));
    check_same_config(folders.front(), readers.front()->config(), folder, readers.back()->config());
  }
  const model::ModelConfig config = readers.front()->config();
  write_model_folder(out, config, dtype, max_shard_bytes, readers.front()->load_tokenizer().get(),
                     "average",
                     [&](const nn::Parameter& parameter, const model::DiskTensor& tensor) {
                       return average_tensor(readers, weights, parameter, tensor);
                     });
  return config;
}

}  // namespace flanmoe::convert
