#include "train/model_input.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "base/error.h"

namespace flanmoe::train {
namespace {

at::Tensor to_tensor(const std::vector<int64_t>& values, int64_t num_rows, int64_t length) {
  FLANMOE_ASSERT(static_cast<int64_t>(values.size()) == num_rows * length);
  at::Tensor tensor = at::empty({num_rows, length}, at::kLong);
  std::copy(values.begin(), values.end(), tensor.data_ptr<int64_t>());
  return tensor;
}

void move(model::ModelInput& input, const at::Device& device) {
  for (at::Tensor* tensor :
       {&input.input_ids_BL, &input.decoder_input_ids_BM, &input.labels_BM,
        &input.encoder.segment_ids_BL, &input.encoder.positions_BL, &input.encoder.token_keys_BL,
        &input.encoder.real_index_N, &input.decoder.segment_ids_BL, &input.decoder.positions_BL,
        &input.decoder.token_keys_BL, &input.decoder.real_index_N})
    *tensor = tensor->to(device, tensor->scalar_type(), /*non_blocking=*/true);
}

// Of real tokens and of segments.
std::pair<int64_t, int64_t> count(const std::vector<int64_t>& segment_ids, int64_t length) {
  int64_t num_tokens = 0, num_segments = 0;
  for (size_t i = 0; i < segment_ids.size(); ++i) {
    if (segment_ids[i] == 0) continue;
    ++num_tokens;
    const bool is_row_start = static_cast<int64_t>(i) % length == 0;
    num_segments += is_row_start || segment_ids[i] != segment_ids[i - 1] ? 1 : 0;
  }
  return {num_tokens, num_segments};
}

}  // namespace

model::ModelInput to_model_input(const data::Batch& batch, const model::ModelConfig& config,
                                 const at::Device& device) {
  model::ModelInput input =
      model::make_input(to_tensor(batch.input_ids, batch.num_rows, batch.input_length),
                        to_tensor(batch.input_segment_ids, batch.num_rows, batch.input_length),
                        to_tensor(batch.target_ids, batch.num_rows, batch.target_length),
                        to_tensor(batch.target_segment_ids, batch.num_rows, batch.target_length),
                        config, batch.example_keys);
  if (!device.is_cpu()) move(input, device);
  return input;
}

model::BatchSize measure(const data::Batch& batch) {
  const auto [num_input_tokens, num_input_segments] =
      count(batch.input_segment_ids, batch.input_length);
  const auto [num_target_tokens, num_target_segments] =
      count(batch.target_segment_ids, batch.target_length);
  return {.num_rows = batch.num_rows,
          .num_input_tokens = num_input_tokens,
          .num_target_tokens = num_target_tokens,
          .num_input_segments = num_input_segments,
          .num_target_segments = num_target_segments};
}

}  // namespace flanmoe::train
