#include "data/source.h"

#include <filesystem>
#include <map>

#include "base/error.h"
#include "base/nearest.h"
#include "data/builtin.h"
#include "data/jsonl.h"

namespace flanmoe::data {
namespace {

// Examples of one task in memory.
class ListSource : public Source {
 public:
  explicit ListSource(std::vector<Example> examples) : examples_(std::move(examples)) {}
  std::string task() const override { return examples_.front().task; }
  std::string cluster() const override { return examples_.front().cluster; }
  int64_t size() const override { return static_cast<int64_t>(examples_.size()); }
  Example get(uint64_t index) const override { return examples_.at(index); }

 private:
  std::vector<Example> examples_;
};

class BuiltinSource : public Source {
 public:
  BuiltinSource(const builtin::TaskInfo& task, uint64_t seed) : task_(task), seed_(seed) {}
  std::string task() const override { return task_.name; }
  std::string cluster() const override { return task_.cluster; }
  int64_t size() const override { return -1; }
  Example get(uint64_t index) const override {
    return builtin::make_example(task_.name, builtin::Split::Train, builtin::TemplateSet::Seen,
                                 seed_, index);
  }

 private:
  builtin::TaskInfo task_;
  uint64_t seed_;
};

std::vector<std::shared_ptr<const Source>> open_builtin(const std::string& name, uint64_t seed) {
  std::vector<std::shared_ptr<const Source>> sources;
  std::vector<std::string> names = {"train"};
  for (const builtin::TaskInfo& task : builtin::tasks()) {
    const bool is_held_out = task.cluster == builtin::held_out_cluster();
    if (name == task.name && is_held_out)
      fail(ErrorCode::InvalidArgument,
           "[data] 'builtin:{}' is of the held-out cluster '{}', which is for evaluation only",
           name, task.cluster);
    if (is_held_out) continue;
    names.push_back(task.name);
    if (name == "train" || name == task.name)
      sources.push_back(std::make_shared<BuiltinSource>(task, seed));
  }
  if (sources.empty())
    fail(ErrorCode::NotFound, "[data] unknown built-in data 'builtin:{}'{}", name,
         suggestion(name, names));
  return sources;
}

// "a/b.jsonl.gz" -> "b".
std::string stem_of(const std::string& path) {
  if (path == "-") return "stdin";
  std::string name = std::filesystem::path(path).filename().string();
  for (const std::string suffix : {".gz", ".jsonl"})
    if (name.size() > suffix.size() &&
        name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0)
      name.resize(name.size() - suffix.size());
  return name;
}

}  // namespace

Sources open_sources(const SourceConfig& config, uint64_t seed) {
  const std::string& spec = config.path;
  const std::string prefix = "builtin:";
  if (spec.compare(0, prefix.size(), prefix) == 0)
    return open_builtin(spec.substr(prefix.size()), seed);

  std::vector<std::vector<Example>> lists;  // in the order in which the tasks first appear
  std::map<std::string, size_t> list_of_task;
  for_each_example(spec, [&](Example&& example) {
    if (example.task.empty())
      example.task = stem_of(example.where.substr(0, example.where.rfind(':')));
    const auto [found, is_new] = list_of_task.emplace(example.task, lists.size());
    if (is_new) lists.emplace_back();
    lists[found->second].push_back(std::move(example));
  });
  if (lists.empty()) fail(ErrorCode::InvalidArgument, "[data] {} has no examples", spec);
  std::vector<std::shared_ptr<const Source>> sources;
  for (auto& list : lists) sources.push_back(std::make_shared<ListSource>(std::move(list)));
  return sources;
}

Sources open_sources(const std::string& path, uint64_t seed) {
  SourceConfig config;
  config.path = path;
  return open_sources(config, seed);
}

}  // namespace flanmoe::data
