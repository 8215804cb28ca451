#include "nn/kv_cache.h"

#include <ATen/ops/index_select.h>

#include "base/error.h"

namespace flanmoe::nn {

void KvCache::select_rows(const at::Tensor& row_index, const at::Tensor& cross_index) {
  const auto select = [](at::Tensor& tensor, const at::Tensor& index) {
    if (tensor.defined() && index.defined()) tensor = at::index_select(tensor, 0, index);
  };
  for (Layer& layer : layers_) {
    select(layer.self_key_BKHd, row_index);
    select(layer.self_value_BKHd, row_index);
    select(layer.cross_key_BKHd, cross_index);
    select(layer.cross_value_BKHd, cross_index);
  }
  select(segment_ids_BK, row_index);
}

void KvCache::put_rows(KvCache& other, const std::vector<int64_t>& rows) {
  const int64_t count = other.length_, start = length_ - count;
  FLANMOE_ASSERT(start >= 0 && layers_.size() == other.layers_.size());
  const auto put = [](const at::Tensor& to, const at::Tensor& from, int64_t row, int64_t source,
                      int64_t begin, int64_t length) {
    FLANMOE_ASSERT(begin + length <= to.size(1));
    to[row].narrow(0, begin, length).copy_(from[source].narrow(0, 0, length));
  };
  for (size_t i = 0; i < layers_.size(); ++i) {
    Layer &to = layers_[i], &from = other.layers_[i];
    const int64_t cross_length = from.cross_key_BKHd.size(1);
    for (size_t source = 0; source < rows.size(); ++source) {
      const int64_t row = rows[source], at = static_cast<int64_t>(source);
      put(to.self_key_BKHd, from.self_key_BKHd, row, at, start, count);
      put(to.self_value_BKHd, from.self_value_BKHd, row, at, start, count);
      put(to.cross_key_BKHd, from.cross_key_BKHd, row, at, 0, cross_length);
      put(to.cross_value_BKHd, from.cross_value_BKHd, row, at, 0, cross_length);
    }
  }
}

void KvCache::drop_front(int64_t num_tokens) {
  const int64_t rest = length_ - num_tokens;
  FLANMOE_ASSERT(num_tokens >= 0 && rest >= 0);
  const auto drop = [&](const at::Tensor& tensor) {
    if (tensor.defined())
      tensor.narrow(1, 0, rest).copy_(tensor.narrow(1, num_tokens, rest).clone());
  };
  for (Layer& layer : layers_) {
    drop(layer.self_key_BKHd);
    drop(layer.self_value_BKHd);
  }
  length_ = rest;
}

}  // namespace flanmoe::nn
