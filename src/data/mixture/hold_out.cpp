#include "data/mixture/hold_out.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/nearest.h"

namespace flanmoe::data {

std::vector<bool> find_held_out(const std::vector<TaskIdentity>& tasks,
                                const std::vector<std::string>& held_out) {
  std::set<std::string> known;
  for (const TaskIdentity& task : tasks) {
    known.insert({task.name, task.cluster, task.dataset});
    known.insert(task.derived_from.begin(), task.derived_from.end());
  }
  known.erase("");
  for (const std::string& name : held_out)
    if (known.count(name) == 0)
      fail(ErrorCode::NotFound,
           "[data.mixture] hold_out: '{}' is no cluster, data set or task of the mixture{}", name,
           suggestion(name, {known.begin(), known.end()}));

  std::set<std::string> gone(held_out.begin(), held_out.end());
  std::vector<bool> is_held_out(tasks.size(), false);
  for (bool has_changed = true; has_changed;) {
    has_changed = false;
    for (size_t i = 0; i < tasks.size(); ++i) {
      const TaskIdentity& task = tasks[i];
      const auto is_gone = [&](const std::string& name) { return gone.count(name) > 0; };
      if (is_held_out[i] ||
          !(is_gone(task.name) || is_gone(task.cluster) ||
            (!task.dataset.empty() && is_gone(task.dataset)) ||
            std::any_of(task.derived_from.begin(), task.derived_from.end(), is_gone)))
        continue;
      is_held_out[i] = has_changed = true;
      gone.insert(task.name);
      if (!task.dataset.empty()) gone.insert(task.dataset);
    }
  }
  return is_held_out;
}

}  // namespace flanmoe::data
