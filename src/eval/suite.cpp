#include "eval/suite.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "data/builtin.h"
#include "data/source.h"

namespace flanmoe::eval {
namespace {

std::vector<Task> open_builtin(const std::string& spec, uint64_t seed, int64_t num_examples,
                               bool all_templates) {
  const data::builtin::Selection selection = data::builtin::select_for_evaluation(spec);
  if (num_examples < 1)
    fail(ErrorCode::InvalidArgument, "[eval] num_examples is {}, expected 1 or more", num_examples);
  std::vector<Task> tasks;
  for (const data::builtin::TaskInfo& info : selection.tasks) {
    Task task;
    task.name = info.name;
    task.cluster = info.cluster;
    task.chance = info.chance;
    const int64_t num_templates = selection.templates == data::builtin::TemplateSet::Seen
                                      ? info.num_templates
                                      : info.num_unseen_templates;
    data::builtin::Options options = selection.options;
    for (int64_t t = 0; t < (all_templates ? num_templates : 1); ++t) {
      if (all_templates) options.template_index = t;
      for (int64_t i = 0; i < num_examples; ++i)
        task.examples.push_back(data::builtin::make_example(
            info.name, data::builtin::Split::Evaluation, selection.templates, seed,
            static_cast<uint64_t>(i), options));
    }
    tasks.push_back(std::move(task));
  }
  return tasks;
}

std::vector<Task> open_files(const std::string& path) {
  std::vector<Task> tasks;
  for (const auto& source : data::open_sources(path, 0)) {
    Task task;
    task.name = source->task();
    task.cluster = source->cluster();
    for (int64_t i = 0; i < source->size(); ++i)
      task.examples.push_back(source->get(static_cast<uint64_t>(i)));
    tasks.push_back(std::move(task));
  }
  return tasks;
}

}  // namespace

Suite open_suite(const std::string& spec, uint64_t seed, int64_t num_examples, bool all_templates) {
  Suite suite;
  suite.name = spec;
  std::set<std::string> names;
  const std::string prefix = "builtin:";
  for (size_t start = 0; start <= spec.size();) {
    const size_t end = std::min(spec.find(',', start), spec.size());
    const std::string part = spec.substr(start, end - start);
    start = end + 1;
    if (part.empty())
      fail(ErrorCode::InvalidArgument,
           "[eval] the suite '{}' has an empty part, expected names or paths with commas between",
           spec);
    const bool is_builtin = part.compare(0, prefix.size(), prefix) == 0;
    const std::string label = is_builtin ? part.substr(prefix.size()) : part;
    for (Task& task :
         is_builtin ? open_builtin(label, seed, num_examples, all_templates) : open_files(part)) {
      // The same task may come twice, for example with seen and with unseen templates.
      if (names.count(task.name)) task.name += "@" + label;
      if (!names.insert(task.name).second)
        fail(ErrorCode::InvalidArgument, "[eval] the suite '{}' names '{}' twice", spec, label);
      suite.tasks.push_back(std::move(task));
    }
  }
  return suite;
}

}  // namespace flanmoe::eval
