#include "train/model_input.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "base/error.h"

namespace flanmoe::train {
namespace {

at::Tensor to_tensor(const std::vector<int64_t>& values, int64_t num_rows, int64_t length,
                     const at::Device& device) {
  FLANMOE_ASSERT(static_cast<int64_t>(values.size()) == num_rows * length);
  at::Tensor tensor = at::empty({num_rows, length}, at::kLong);
  std::copy(values.begin(), values.end(), tensor.data_ptr<int64_t>());
  return tensor.to(device);
}

}  // namespace

model::ModelInput to_model_input(const data::Batch& batch, const model::ModelConfig& config,
                                 const at::Device& device) {
  return model::make_input(
      to_tensor(batch.input_ids, batch.num_rows, batch.input_length, device),
      to_tensor(batch.input_segment_ids, batch.num_rows, batch.input_length, device),
      to_tensor(batch.target_ids, batch.num_rows, batch.target_length, device),
      to_tensor(batch.target_segment_ids, batch.num_rows, batch.target_length, device), config,
      batch.example_keys);
}

}  // namespace flanmoe::train
