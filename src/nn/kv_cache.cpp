#include "nn/kv_cache.h"

#include <ATen/ops/index_select.h>

namespace flanmoe::nn {

void KvCache::select_rows(const at::Tensor& row_index) {
  for (Layer& layer : layers_)
    for (at::Tensor* tensor : {&layer.self_key_BKHd, &layer.self_value_BKHd, &layer.cross_key_BKHd,
                               &layer.cross_value_BKHd})
      if (tensor->defined()) *tensor = at::index_select(*tensor, 0, row_index);
}

}  // namespace flanmoe::nn
