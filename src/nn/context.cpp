#include "nn/context.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/ones.h>

#include <algorithm>

#include "base/error.h"

namespace flanmoe::nn {

namespace {

// Of every token inside its segment.
at::Tensor count_positions(const at::Tensor& segment_ids_BL) {
  const int64_t num_rows = segment_ids_BL.size(0), length = segment_ids_BL.size(1);
  const at::Tensor segments = segment_ids_BL.to(at::kCPU).contiguous();
  const int64_t* segment = segments.const_data_ptr<int64_t>();
  at::Tensor positions_BL = at::empty({num_rows, length}, at::kLong);
  int64_t* position = positions_BL.mutable_data_ptr<int64_t>();
  for (int64_t row = 0; row < num_rows; ++row)
    for (int64_t l = 0; l < length; ++l) {
      const int64_t i = row * length + l;
      position[i] = l > 0 && segment[i] == segment[i - 1] ? position[i - 1] + 1 : 0;
    }
  return positions_BL.to(segment_ids_BL.device());
}

}  // namespace

std::vector<int64_t> to_host(const at::Tensor& values) {
  const at::Tensor host = values.to(at::kCPU).contiguous();
  const int64_t* data = host.const_data_ptr<int64_t>();
  return {data, data + host.numel()};
}

TokenLayout make_layout(int64_t num_rows, int64_t length, const at::Tensor& segment_ids_BL,
                        const at::Tensor& positions_BL, const std::vector<uint64_t>& example_keys,
                        const at::Device& device) {
  const auto options = at::TensorOptions().dtype(at::kLong).device(device);
  TokenLayout layout;
  layout.num_rows = num_rows;
  layout.length = length;
  layout.segment_ids_BL =
      segment_ids_BL.defined() ? segment_ids_BL.to(options) : at::ones({num_rows, length}, options);
  layout.positions_BL =
      positions_BL.defined() ? positions_BL.to(options) : count_positions(layout.segment_ids_BL);
  if (segment_ids_BL.defined()) {
    layout.real_index_N = at::nonzero(layout.segment_ids_BL.reshape(-1)).squeeze(1);
    layout.has_padding = layout.real_index_N.size(0) < num_rows * length;
    layout.is_packed =
        layout.segment_ids_BL.numel() > 0 && layout.segment_ids_BL.max().item<int64_t>() > 1;
  } else {
    layout.real_index_N = at::arange(num_rows * length, options);
  }

  const int64_t keys_per_row =
      num_rows > 0 ? static_cast<int64_t>(example_keys.size()) / num_rows : 0;
  if (static_cast<int64_t>(example_keys.size()) != keys_per_row * num_rows)
    fail(ErrorCode::ShapeMismatch,
         "[nn.layout] {} example keys for {} rows; expected as many for each row",
         example_keys.size(), num_rows);
  at::Tensor keys = at::empty({num_rows, length}, at::kLong);
  const at::Tensor positions = layout.positions_BL.to(at::kCPU).contiguous();
  const at::Tensor segments = layout.segment_ids_BL.to(at::kCPU).contiguous();
  const int64_t* position = positions.const_data_ptr<int64_t>();
  const int64_t* segment = segments.const_data_ptr<int64_t>();
  int64_t* key = keys.mutable_data_ptr<int64_t>();
  // The example's, whatever the number of its segment.
  const auto key_of_segment = [&](int64_t row, int64_t id) {
    if (example_keys.empty()) return mix64(static_cast<uint64_t>(row)) + static_cast<uint64_t>(id);
    if (id > keys_per_row)
      fail(ErrorCode::ShapeMismatch, "[nn.layout] row {} has a segment {}, but {} example keys",
           row, id, keys_per_row);
    // padding goes with the first one
    const int64_t at = row * keys_per_row + std::max<int64_t>(0, id - 1);
    return example_keys[static_cast<size_t>(at)] + (id == 0 ? 0 : 1);
  };
  for (int64_t row = 0; row < num_rows; ++row)
    for (int64_t i = row * length; i < (row + 1) * length; ++i)
      key[i] = static_cast<int64_t>(
          mix64(mix64(key_of_segment(row, segment[i])) + static_cast<uint64_t>(position[i])));
  layout.token_keys_BL = keys.to(device);
  return layout;
}

uint64_t noise_site(const std::string& name) {
  return RandomKey(0, RandomPurpose::Dropout).fold(std::string_view(name)).state();
}

}  // namespace flanmoe::nn
