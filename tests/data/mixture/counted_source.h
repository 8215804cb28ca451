// Sources of numbered examples.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include "data/mixture/mixture.h"

namespace flanmoe::data {

class CountedSource : public Source {
 public:
  CountedSource(std::string task, int64_t size, std::string cluster = "c")
      : task_(std::move(task)), cluster_(std::move(cluster)), size_(size) {}
  std::string task() const override { return task_; }
  std::string cluster() const override { return cluster_; }
  int64_t size() const override { return size_; }
  Example get(uint64_t index) const override {
    if (size_ >= 0 && index >= static_cast<uint64_t>(size_)) throw std::out_of_range("index");
    Example example;
    example.task = task_;
    example.id = std::to_string(index);
    example.inputs = "question " + example.id;
    example.targets = "answer " + example.id;
    return example;
  }

 private:
  std::string task_, cluster_;
  int64_t size_;
};

// One task a size, named t0, t1, ..., at equal rates unless given.
inline std::vector<MixtureTask> make_tasks(const std::vector<int64_t>& sizes,
                                           const std::vector<double>& rates = {}) {
  std::vector<MixtureTask> tasks;
  for (size_t i = 0; i < sizes.size(); ++i) {
    MixtureTask task;
    const std::string name = "t" + std::to_string(i);
    task.source = std::make_shared<CountedSource>(name, sizes[i]);
    task.identity = {name, "c", name, {}};
    task.rate = rates.empty() ? 1 : rates[i];
    task.num_examples = sizes[i];
    tasks.push_back(std::move(task));
  }
  return tasks;
}

}  // namespace flanmoe::data
