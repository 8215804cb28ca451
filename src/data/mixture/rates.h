// How tasks are weighted: by examples with a cap, explicitly, by temperature; by task, cluster and
// collection.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/mixture/config.h"

namespace flanmoe::data {

struct TaskSize {
  std::string name;
  std::string cluster;
  int64_t size = 0;           // < 0: endless, counts as max_examples
  int64_t num_templates = 0;  // 0: one
};

// Rates of the tasks of one collection, in examples; with cluster weights each cluster's sum to its
// weight. Throws InvalidConfig where a setting is out of range, a weight names nothing, or some
// clusters have a weight and others have none.
std::vector<double> task_rates(const CollectionConfig& collection,
                               const std::vector<TaskSize>& tasks);

// Distinct examples of each task, `total` in all: by rate, no task more than it has; what one
// cannot give the others do. `sizes` < 0: endless. Throws InvalidConfig where there are fewer.
std::vector<int64_t> share_out_examples(int64_t total, const std::vector<double>& rates,
                                        const std::vector<int64_t>& sizes);

}  // namespace flanmoe::data
