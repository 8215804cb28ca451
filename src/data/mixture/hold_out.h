// Holding out: what is kept for evaluation is kept out of training with everything derived from it.
#pragma once

#include <string>
#include <vector>

namespace flanmoe::data {

struct TaskIdentity {
  std::string name;
  std::string cluster;
  std::string dataset;                    // tasks made of one data set share it; "": the name
  std::vector<std::string> derived_from;  // tasks, data sets or clusters
};

// Which tasks go when `held_out` (names of clusters, data sets or tasks) is kept out of training:
// those named, those of the data set of one that goes, and those derived from one that goes, until
// nothing more goes. Throws NotFound for a name that is none of these, with the nearest.
std::vector<bool> find_held_out(const std::vector<TaskIdentity>& tasks,
                                const std::vector<std::string>& held_out);

}  // namespace flanmoe::data
