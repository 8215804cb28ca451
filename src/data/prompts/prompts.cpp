#include "data/prompts/prompts.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/nearest.h"
#include "data/builtin.h"
#include "data/prompts/prompt_set.h"

namespace flanmoe::data {
namespace {

bool has_extension(const std::string& path, std::initializer_list<std::string_view> extensions) {
  return std::any_of(extensions.begin(), extensions.end(),
                     [&](std::string_view extension) { return path.ends_with(extension); });
}

PromptSet read_prompt_set(const std::string& path) {
  if (is_folder(path)) return read_promptsource_folder(path);
  if (!is_file(path)) fail(ErrorCode::NotFound, "no file or folder of prompts '{}'", path);
  if (has_extension(path, {".yaml", ".yml"})) return read_promptsource_yaml(path);
  if (has_extension(path, {".toml"})) return read_toml_prompts(path);
  if (!has_extension(path, {".json"}))
    fail(ErrorCode::InvalidArgument,
         "{}: prompts are read from .json, .yaml and .toml files, and from folders of .yaml files",
         path);
  const Json document = load_json(path);
  if (document.is_object() && document.contains("datasets"))
    return read_promptsource_json(document, path);
  if (document.is_object() && document.contains("patterns"))
    return read_flan_prompts(document, path);
  fail(ErrorCode::InvalidConfig,
       "{}: expected an object with 'patterns' (FLAN) or 'datasets' (promptsource)", path);
}

// "super_glue/rte", "super_glue_rte" and "super-glue rte" are one.
std::string normalized(const std::string& name) {
  std::string result;
  for (const char c : name) {
    const bool is_kept = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c & 0x80) != 0;
    result += is_kept ? c : c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : '_';
  }
  return result;
}

const PromptSet::Task* find_task(const PromptSet& set, const std::string& wanted) {
  for (const PromptSet::Task& task : set.tasks)
    if (task.name == wanted) return &task;
  for (const auto& [alias, name] : set.aliases)
    if (alias == wanted && name != wanted) return find_task(set, name);
  const std::string simple = normalized(wanted);
  for (const PromptSet::Task& task : set.tasks)
    if (normalized(task.name) == simple) return &task;
  return nullptr;
}

std::vector<std::string> task_names(const PromptSet& set) {
  std::vector<std::string> names;
  for (const PromptSet::Task& task : set.tasks) names.push_back(task.name);
  for (const auto& alias : set.aliases) names.push_back(alias.first);
  return names;
}

}  // namespace

const PromptSet& PromptFiles::read(const std::string& path) {
  std::shared_ptr<const PromptSet>& set = sets_[path];
  if (!set) set = std::make_shared<const PromptSet>(read_prompt_set(path));
  return *set;
}

Prompts PromptFiles::open(const std::string& path, const std::string& task) {
  if (path == "builtin:") return builtin::prompts(task);
  const PromptSet& set = read(path);
  Prompts prompts;
  const PromptSet::Task* found = find_task(set, task);
  if (!found && !set.make_for_any_task) {
    std::vector<std::string> parts;
    for (const PromptSet::Task& other : set.tasks)
      if (other.name.starts_with(task + "/")) parts.push_back(other.name);
    if (parts.size() == 1) {
      found = find_task(set, parts[0]);
    } else if (parts.size() > 1) {
      std::string list;
      for (const std::string& part : parts) list += (list.empty() ? "" : ", ") + part;
      fail(ErrorCode::NotFound, "{}: the task '{}' has several sets: {}", path, task, list);
    } else {
      const std::vector<std::string> names = task_names(set);
      const std::string nearest = nearest_name(task, names);
      fail(ErrorCode::NotFound, "{}: no prompts for the task '{}'{}", path, task,
           nearest.empty() && names.size() > 20 ? fmt::format(" (it has {} tasks)", names.size())
                                                : suggestion(task, names));
    }
  }
  if (found) prompts = found->make();
  if (set.make_for_any_task)
    for (auto& prompt : set.make_for_any_task()) prompts.push_back(std::move(prompt));
  return prompts;
}

std::vector<std::string> PromptFiles::list_tasks(const std::string& path) {
  if (path == "builtin:") {
    std::vector<std::string> names;
    for (const builtin::TaskInfo& task : builtin::tasks()) names.push_back(task.name);
    return names;
  }
  return task_names(read(path));
}

Prompts open_prompts(const std::string& path, const std::string& task) {
  return PromptFiles().open(path, task);
}

std::vector<std::string> list_prompt_tasks(const std::string& path) {
  return PromptFiles().list_tasks(path);
}

}  // namespace flanmoe::data
