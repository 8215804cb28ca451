#include "data/builtin.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/nearest.h"
#include "base/random.h"
#include "data/builtin/task.h"
#include "text/template.h"

namespace flanmoe::data::builtin {
namespace {

struct Task {
  TaskDefinition definition;
  std::vector<text::Template> seen, unseen;
};

std::vector<text::Template> parse_templates(const std::string& task,
                                            const std::vector<std::string>& sources) {
  std::vector<text::Template> templates;
  for (const std::string& source : sources) templates.emplace_back(source, "data.builtin " + task);
  return templates;
}

const std::vector<Task>& all_tasks() {
  static const std::vector<Task> tasks = [] {
    std::vector<Task> all;
    for (auto make : {make_topics_tasks, make_sentiment_tasks, make_inference_tasks,
                      make_transform_tasks, make_reading_tasks})
      for (TaskDefinition& definition : make()) {
        auto seen = parse_templates(definition.name, definition.templates);
        auto unseen = parse_templates(definition.name, definition.unseen_templates);
        all.push_back({std::move(definition), std::move(seen), std::move(unseen)});
      }
    return all;
  }();
  return tasks;
}

const Task& find_task(const std::string& name) {
  static const std::map<std::string, const Task*> by_name = [] {
    std::map<std::string, const Task*> result;
    for (const Task& task : all_tasks()) result.emplace(task.definition.name, &task);
    return result;
  }();
  auto found = by_name.find(name);
  if (found != by_name.end()) return *found->second;
  std::vector<std::string> names;
  for (const Task& task : all_tasks()) names.push_back(task.definition.name);
  fail(ErrorCode::NotFound, "[data.builtin] no task '{}' in the built-in collection{}", name,
       suggestion(name, names));
}

// One instance in five is for evaluation. Independent of the seed, so that no two seeds' splits
// overlap.
Split split_of(const std::string& task, const std::string& identity) {
  const RandomKey key =
      RandomKey(0, RandomPurpose::Generator).fold("split").fold(task).fold(identity);
  return key.below(5, 0) == 0 ? Split::Evaluation : Split::Train;
}

}  // namespace

const std::vector<TaskInfo>& tasks() {
  static const std::vector<TaskInfo> infos = [] {
    std::vector<TaskInfo> result;
    for (const Task& task : all_tasks()) {
      const TaskDefinition& definition = task.definition;
      result.push_back(
          {definition.name, definition.cluster, definition.description,
           static_cast<int64_t>(task.seen.size()), static_cast<int64_t>(task.unseen.size()),
           definition.is_easy,
           definition.num_choices > 0 ? 1.0 / static_cast<double>(definition.num_choices) : 0.0});
    }
    return result;
  }();
  return infos;
}

const std::string& held_out_cluster() {
  static const std::string name = "reading";
  return name;
}

Example make_example(const std::string& name, Split split, TemplateSet templates, uint64_t seed,
                     uint64_t index) {
  const Task& task = find_task(name);
  const TaskDefinition& definition = task.definition;
  const bool is_train = split == Split::Train;
  const RandomKey key =
      RandomKey(seed, RandomPurpose::Generator).fold(name).fold(is_train ? 0 : 1).fold(index);

  // The answer class stays while the content is drawn anew until it falls into the split: the split
  // does not tilt the answers.
  const uint64_t answer_class = key.fold("class").below(definition.num_classes, 0);
  Draft draft;
  for (uint64_t attempt = 0;; ++attempt) {
    FLANMOE_ASSERT(attempt < 10000);
    RandomStream random(key.fold("content").fold(attempt));
    draft = definition.draw(random, answer_class);
    if (split_of(name, draft.identity) == split) break;
  }

  const bool is_seen = templates == TemplateSet::Seen;
  const std::vector<text::Template>& candidates = is_seen ? task.seen : task.unseen;
  const uint64_t template_index = RandomKey(seed, RandomPurpose::Template)
                                      .fold(name)
                                      .fold(is_train ? 0 : 1)
                                      .fold(index)
                                      .below(candidates.size(), 0);

  Example example;
  example.id = fmt::format("{}-{}-{}-{}", name, is_train ? "train" : "test", seed, index);
  example.task = name;
  example.cluster = definition.cluster;
  example.split = is_train ? "train" : "test";
  example.inputs = candidates[template_index].render(draft.fields);
  example.targets = draft.answer;
  example.choices = std::move(draft.choices);
  if (!example.choices.empty()) {
    auto found = std::find(example.choices.begin(), example.choices.end(), example.targets);
    FLANMOE_ASSERT(found != example.choices.end());
    example.answer_index = found - example.choices.begin();
  }
  for (const auto& [field, value] : draft.fields) example.fields[field] = value;
  example.template_name = fmt::format("{}{}", is_seen ? "seen_" : "unseen_", template_index);
  example.where = "builtin:" + example.id;
  return example;
}

}  // namespace flanmoe::data::builtin
