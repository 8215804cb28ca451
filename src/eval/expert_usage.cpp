#include "eval/expert_usage.h"

#include <algorithm>
#include <numeric>

namespace flanmoe::eval {

std::vector<TopExpert> find_top_experts(const ExpertUsage& usage) {
  std::vector<TopExpert> result;
  for (const auto& [layer, shares] : usage) {
    const auto best = std::max_element(shares.begin(), shares.end());
    if (best != shares.end() && *best > 0) result.push_back({layer, best - shares.begin(), *best});
  }
  return result;
}

void ExpertUsageCollector::record(const std::string& layer, const ops::Routing& routing) {
  if (next_) next_->record(layer, routing);
}

void ExpertUsageCollector::record_merging(const std::string& site, const at::Tensor& weights,
                                          const nn::TokenLayout& tokens) {
  if (next_) next_->record_merging(site, weights, tokens);
}

void ExpertUsageCollector::record_rows(const std::string& layer, const ops::Routing& routing,
                                       const at::Tensor& index_N, const nn::TokenLayout& tokens) {
  if (next_) next_->record_rows(layer, routing, index_N, tokens);
  const at::Tensor position_A =
      index_N.index_select(0, routing.token_index_A).to(at::kCPU).contiguous();
  const int64_t* position = position_A.const_data_ptr<int64_t>();
  for (size_t e = 0; e + 1 < routing.expert_offsets.size(); ++e)
    for (int64_t a = routing.expert_offsets[e]; a < routing.expert_offsets[e + 1]; ++a) {
      const auto row = static_cast<size_t>(position[a] / tokens.length);
      std::vector<int64_t>& counts = counts_.at(example_of_row_.at(row))[layer];
      counts.resize(static_cast<size_t>(routing.num_experts));
      ++counts[e];
    }
}

std::vector<ExpertUsage> ExpertUsageCollector::summarise() const {
  std::vector<ExpertUsage> result(counts_.size());
  for (size_t i = 0; i < counts_.size(); ++i)
    for (const auto& [layer, counts] : counts_[i]) {
      const auto sum =
          static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0}));
      std::vector<double>& shares = result[i][layer];
      for (const int64_t count : counts) shares.push_back(static_cast<double>(count) / sum);
    }
  return result;
}

}  // namespace flanmoe::eval
