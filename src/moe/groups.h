// Which tokens compete for slots.
#pragma once

#include "moe/config.h"
#include "nn/context.h"

namespace flanmoe::moe {

struct Groups {
  std::vector<int64_t> of_token;  // [N]; empty: one group
  int64_t count = 1;
};

// Of the tokens at `index_N` (int64, rising, into the flattened rows), by Config::group.
Groups make_groups(const Config& config, const nn::TokenLayout& tokens, const at::Tensor& index_N);
// The same where a group is a segment, whatever the config says.
Groups make_sequence_groups(const nn::TokenLayout& tokens, const at::Tensor& index_N);

}  // namespace flanmoe::moe
