#include "moe/groups.h"

#include <algorithm>

namespace flanmoe::moe {

namespace {

Groups group_by_sequence(const nn::TokenLayout& tokens, const at::Tensor& index_N, bool is_row) {
  const int64_t num_tokens = index_N.size(0);
  Groups groups;
  const at::Tensor index_host = index_N.to(at::kCPU).contiguous();
  const int64_t* index = index_host.const_data_ptr<int64_t>();
  const at::Tensor segments = tokens.segment_ids_BL.to(at::kCPU).contiguous();
  const int64_t* segment = segments.const_data_ptr<int64_t>();
  int64_t group = -1, last_row = -1, last_segment = -1;
  groups.of_token.reserve(static_cast<size_t>(num_tokens));
  for (int64_t i = 0; i < num_tokens; ++i) {
    const int64_t row = index[i] / tokens.length, here = is_row ? 0 : segment[index[i]];
    if (row != last_row || here != last_segment) ++group;
    last_row = row;
    last_segment = here;
    groups.of_token.push_back(group);
  }
  groups.count = std::max<int64_t>(1, group + 1);
  return groups;
}

}  // namespace

Groups make_groups(const Config& config, const nn::TokenLayout& tokens, const at::Tensor& index_N) {
  const int64_t num_tokens = index_N.size(0);
  Groups groups;
  if (config.group == RoutingGroup::Batch) return groups;
  if (config.group == RoutingGroup::Tokens) {
    groups.count = std::max<int64_t>(1, (num_tokens + config.group_size - 1) / config.group_size);
    for (int64_t i = 0; i < num_tokens; ++i) groups.of_token.push_back(i / config.group_size);
    return groups;
  }
  // padding belongs to no segment
  return group_by_sequence(tokens, index_N, config.padding == PaddingRule::Counted);
}

Groups make_sequence_groups(const nn::TokenLayout& tokens, const at::Tensor& index_N) {
  return group_by_sequence(tokens, index_N, /*is_row=*/false);
}

}  // namespace flanmoe::moe
