#include "eval/result.h"

#include <map>
#include <utility>

namespace flanmoe::eval {

std::vector<double> weights_in_mean(const std::vector<const TaskResult*>& tasks) {
  // a task without a group is one by its name
  const auto group_of = [](const TaskResult& task) {
    return std::pair(!task.group.empty(), task.group.empty() ? task.name : task.group);
  };
  std::map<std::pair<bool, std::string>, double> sizes;
  for (const TaskResult* task : tasks) sizes[group_of(*task)] += 1;
  std::vector<double> weights;
  for (const TaskResult* task : tasks)
    weights.push_back(1 / (sizes[group_of(*task)] * static_cast<double>(sizes.size())));
  return weights;
}

}  // namespace flanmoe::eval
