#include "generate/batching.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "base/random.h"

namespace flanmoe::generate {

std::vector<std::vector<size_t>> plan_batches(const std::vector<int64_t>& lengths,
                                              int64_t max_batch_tokens, int64_t max_rows) {
  std::vector<size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return lengths[a] > lengths[b]; });

  std::vector<std::vector<size_t>> batches;
  int64_t longest = 0;
  for (size_t row : order) {
    const bool is_full =
        batches.empty() ||
        (max_rows > 0 && static_cast<int64_t>(batches.back().size()) >= max_rows) ||
        static_cast<int64_t>(batches.back().size() + 1) * longest > max_batch_tokens;
    if (is_full) {
      batches.emplace_back();
      longest = lengths[row];
    }
    batches.back().push_back(row);
  }
  return batches;
}

void check_rows(const std::vector<std::vector<int32_t>>& rows, int64_t vocab_size,
                const std::string& who, const std::string& what) {
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].empty())
      fail(ErrorCode::InvalidArgument, "[{}] {} {} has no tokens, expected </s> at least", who,
           what, i);
    for (int32_t id : rows[i])
      if (id < 0 || id >= vocab_size)
        fail(ErrorCode::InvalidArgument,
             "[{}] {} {} has the token id {}, but the model's vocabulary has {}", who, what, i, id,
             vocab_size);
  }
}

at::Tensor to_tensor(const std::vector<int64_t>& values, at::IntArrayRef shape,
                     const at::Device& device) {
  at::Tensor tensor = at::empty(shape, at::kLong);
  FLANMOE_ASSERT(tensor.numel() == static_cast<int64_t>(values.size()));
  if (!values.empty())
    std::memcpy(tensor.mutable_data_ptr<int64_t>(), values.data(), values.size() * sizeof(int64_t));
  return tensor.to(device);
}

PaddedRows pad_rows(const TokenRows& rows, int64_t pad_id, const std::vector<uint64_t>& row_keys,
                    const at::Device& device, const std::vector<int64_t>& first_position) {
  size_t longest = 0;
  bool has_padding = false;
  for (const auto* row : rows) longest = std::max(longest, row->size());
  std::vector<int64_t> ids(rows.size() * longest, pad_id), segment_ids(rows.size() * longest, 0),
      positions;
  for (size_t r = 0; r < rows.size(); ++r) {
    const auto begin = static_cast<ptrdiff_t>(r * longest);
    std::copy(rows[r]->begin(), rows[r]->end(), ids.begin() + begin);
    std::fill_n(segment_ids.begin() + begin, rows[r]->size(), int64_t{1});
    for (size_t i = 0; !first_position.empty() && i < longest; ++i)
      positions.push_back(first_position[r] + static_cast<int64_t>(i));
    has_padding |= rows[r]->size() < longest;
  }
  const auto num_rows = static_cast<int64_t>(rows.size()), length = static_cast<int64_t>(longest);
  PaddedRows padded;
  padded.ids_BL = to_tensor(ids, {num_rows, length}, device);
  padded.layout = nn::make_layout(
      num_rows, length,
      has_padding ? to_tensor(segment_ids, {num_rows, length}, device) : at::Tensor(),
      first_position.empty() ? at::Tensor() : to_tensor(positions, {num_rows, length}, device),
      row_keys, device);
  return padded;
}

PaddedRows pad_rows_on_the_left(const TokenRows& rows, int64_t pad_id,
                                const std::vector<uint64_t>& row_keys, int64_t num_more,
                                const at::Device& device) {
  size_t longest = 0;
  for (const auto* row : rows) longest = std::max(longest, row->size());
  std::vector<int64_t> ids, segment_ids, positions, key_segment_ids;
  bool has_padding = false;
  for (const auto* row : rows) {
    const size_t missing = longest - row->size();
    has_padding |= missing > 0;
    for (size_t i = 0; i < longest; ++i) {
      const bool is_real = i >= missing;
      ids.push_back(is_real ? (*row)[i - missing] : pad_id);
      segment_ids.push_back(is_real ? 1 : 0);
      positions.push_back(is_real ? static_cast<int64_t>(i - missing) : 0);
      key_segment_ids.push_back(segment_ids.back());
    }
    key_segment_ids.insert(key_segment_ids.end(), static_cast<size_t>(num_more), 1);
  }
  const auto num_rows = static_cast<int64_t>(rows.size()), length = static_cast<int64_t>(longest);
  PaddedRows padded;
  padded.ids_BL = to_tensor(ids, {num_rows, length}, device);
  padded.layout = nn::make_layout(
      num_rows, length,
      has_padding ? to_tensor(segment_ids, {num_rows, length}, device) : at::Tensor(),
      to_tensor(positions, {num_rows, length}, device), row_keys, device);
  padded.key_segment_ids_BK = to_tensor(key_segment_ids, {num_rows, length + num_more}, device);
  return padded;
}

std::vector<int32_t> add_virtual_tokens(const model::Model& model, int64_t adapter,
                                        const std::vector<int32_t>& row) {
  std::vector<int32_t> longer = row;
  if (adapter >= 0)
    model::prepend_virtual_tokens(longer, model.config(), model.num_virtual_tokens(adapter));
  return longer;
}

uint64_t row_key(const std::vector<int32_t>& row) {
  uint64_t key = mix64(row.size());
  for (int32_t id : row) key = mix64(key ^ static_cast<uint64_t>(static_cast<uint32_t>(id)));
  return key;
}

nn::TokenLayout select_rows(const nn::TokenLayout& layout, const at::Tensor& row_index,
                            const std::vector<uint64_t>& row_keys) {
  const at::Tensor segment_ids_BL =
      layout.has_padding ? layout.segment_ids_BL.index_select(0, row_index) : at::Tensor();
  return nn::make_layout(row_index.size(0), layout.length, segment_ids_BL, {}, row_keys,
                         layout.segment_ids_BL.device());
}

}  // namespace flanmoe::generate
