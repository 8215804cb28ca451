// What a mixture asks for beside what its stream gives.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/mixture/mixture.h"

namespace flanmoe::data {

struct Share {
  std::string name;
  std::string collection, cluster;  // of a task or, the first, of a cluster
  double asked = 0, realised = 0;   // of the stream
  int64_t num_tasks = 0;
  int64_t num_examples = 0;  // distinct ones; < 0: some have no end
};

struct Shares {
  std::vector<Share> tasks, clusters, collections;
  std::vector<Share> forms;  // ways to ask, over all tasks
  uint64_t num_draws = 0, num_rendered = 0;
  // The largest |realised - asked| over tasks, clusters and collections.
  double largest_difference = 0;
};

// Counts the draws at positions [0, num_draws). Forms are counted over the first `num_rendered` of
// them, since which one applies to an example shows when it is rendered.
Shares measure_shares(const Mixture& mixture, uint64_t num_draws, uint64_t num_rendered = 10000);

}  // namespace flanmoe::data
