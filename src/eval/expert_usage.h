// Which experts the tokens of an example went to.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "nn/context.h"

namespace flanmoe::eval {

// Of one example: by sparse layer ("encoder.block.1.layer.1"), for every expert its share of the
// assignments of the example's tokens; sums to 1 where there was any.
using ExpertUsage = std::map<std::string, std::vector<double>>;

struct TopExpert {
  std::string layer;
  int64_t expert = 0;  // the lowest one of equal ones
  double share = 0;
};
// The most used expert of every layer that served a token, in the order of the names.
std::vector<TopExpert> find_top_experts(const ExpertUsage& usage);

// Counts by example; hands everything on to `next`, which may be null.
class ExpertUsageCollector final : public nn::RoutingSink {
 public:
  ExpertUsageCollector(size_t num_examples, nn::RoutingSink* next)
      : counts_(num_examples), next_(next) {}
  // Whose the rows of the passes are from now on.
  void set_rows(std::vector<size_t> example_of_row) { example_of_row_ = std::move(example_of_row); }
  std::vector<ExpertUsage> summarise() const;

  void record(const std::string& layer, const ops::Routing& routing) override;
  void record_rows(const std::string& layer, const ops::Routing& routing, const at::Tensor& index_N,
                   const nn::TokenLayout& tokens) override;
  void record_merging(const std::string& site, const at::Tensor& weights,
                      const nn::TokenLayout& tokens) override;

 private:
  std::vector<std::map<std::string, std::vector<int64_t>>> counts_;
  std::vector<size_t> example_of_row_;
  nn::RoutingSink* next_;
};

}  // namespace flanmoe::eval
