#include <algorithm>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/random.h"
#include "data/mixture/mixture.h"
#include "data/mixture/name_patterns.h"
#include "data/mixture/rates.h"

namespace flanmoe::data {
namespace {

// A collection with the folder that its paths begin at and what is known of its tasks.
struct OpenedCollection {
  CollectionConfig config;
  std::string folder;
  std::vector<TaskConfig> task_configs;
  std::vector<NamePatterns> task_names;  // of task_configs
};

const std::string kBuiltin = "builtin:";

bool is_mixture_file(const std::string& spec) {
  return spec.ends_with(".toml");
}

std::string resolve(const std::string& folder, const std::string& path) {
  if (path.empty() || path.starts_with(kBuiltin) || folder.empty()) return path;
  const std::filesystem::path given = path;
  return given.is_absolute() ? path : (std::filesystem::path(folder) / given).string();
}

bool is_there(const std::string& path) {
  return path.starts_with(kBuiltin) || path == "-" || is_file(path) || is_folder(path);
}

// One task that several files have examples of.
class JoinedSource : public Source {
 public:
  explicit JoinedSource(Sources parts) : parts_(std::move(parts)) {
    for (const auto& part : parts_) {
      if (part->size() < 0)
        fail(ErrorCode::Unsupported,
             "[data.mixture] task '{}' has several sources, and one of them has no end",
             part->task());
      ends_.push_back((ends_.empty() ? 0 : ends_.back()) + static_cast<uint64_t>(part->size()));
    }
  }
  std::string task() const override { return parts_.front()->task(); }
  std::string cluster() const override { return parts_.front()->cluster(); }
  int64_t size() const override { return static_cast<int64_t>(ends_.back()); }
  std::string content_hash() const override {
    Hasher hasher;
    for (const auto& part : parts_) {
      if (part->content_hash().empty()) return "";
      hasher.add(part->content_hash()).add("\n");
    }
    return hasher.hex();
  }
  Example get(uint64_t index) const override {
    const auto part =
        static_cast<size_t>(std::upper_bound(ends_.begin(), ends_.end(), index) - ends_.begin());
    return parts_.at(part)->get(index - (part == 0 ? 0 : ends_[part - 1]));
  }

 private:
  Sources parts_;
  std::vector<uint64_t> ends_;
};

Sources join_by_task(const Sources& sources) {
  std::vector<Sources> groups;
  for (const auto& source : sources) {
    const auto same = std::find_if(groups.begin(), groups.end(), [&](const Sources& group) {
      return group.front()->task() == source->task();
    });
    if (same == groups.end())
      groups.push_back({source});
    else
      same->push_back(source);
  }
  Sources joined;
  for (Sources& group : groups)
    joined.push_back(group.size() == 1 ? group.front()
                                       : std::make_shared<JoinedSource>(std::move(group)));
  return joined;
}

std::vector<OpenedCollection> list_collections(const std::string& specs,
                                               const MixtureConfig& config,
                                               std::vector<std::string>& hold_out) {
  std::vector<OpenedCollection> collections;
  OpenedCollection plain;
  plain.config.name = "data";
  plain.config.max_examples = config.max_examples;
  plain.config.temperature = config.temperature;
  for (const std::string& spec : split_specs(specs)) {
    if (!is_mixture_file(spec)) {
      CollectionSource source;
      source.path = spec;
      source.on_error = config.on_error;
      plain.config.sources.push_back(std::move(source));
      continue;
    }
    const MixtureFile file = load_mixture_file(spec);
    const std::string folder =
        !config.folder.empty() ? config.folder : std::filesystem::path(spec).parent_path().string();
    hold_out.insert(hold_out.end(), file.hold_out.begin(), file.hold_out.end());
    std::vector<NamePatterns> task_names;
    for (const TaskConfig& task : file.tasks)
      task_names.emplace_back(std::vector<std::string>{task.name}, "tasks");
    for (const CollectionConfig& collection : file.collections)
      collections.push_back({collection, folder, file.tasks, task_names});
  }
  if (!plain.config.sources.empty()) collections.push_back(std::move(plain));
  if (collections.empty()) fail(ErrorCode::InvalidArgument, "[data] no data is named");
  return collections;
}

void check_weights(const std::vector<OpenedCollection>& collections) {
  const auto has_weight = [](const OpenedCollection& c) { return c.config.weight.has_value(); };
  const auto with = std::find_if(collections.begin(), collections.end(), has_weight);
  const auto without = std::find_if_not(collections.begin(), collections.end(), has_weight);
  if (with != collections.end() && without != collections.end())
    fail(ErrorCode::InvalidConfig,
         "[data.mixture] collection '{}' has a weight and '{}' has none: give all of them one, or "
         "none",
         with->config.name, without->config.name);
  for (const OpenedCollection& collection : collections)
    if (collection.config.weight && !(*collection.config.weight > 0))
      fail(ErrorCode::InvalidConfig, "[data.mixture {}] weight is {}, expected more than 0",
           collection.config.name, *collection.config.weight);
}

TaskIdentity identify(const Source& source, const OpenedCollection& collection,
                      std::string& templates_task) {
  TaskIdentity identity{source.task(), source.cluster(), source.task(),
                        collection.config.derived_from};
  const auto& names = collection.config.template_tasks;
  const auto named = names.find(source.task());
  templates_task = named == names.end() ? source.task() : named->second;
  for (size_t i = 0; i < collection.task_configs.size(); ++i) {
    const TaskConfig& task = collection.task_configs[i];
    if (!collection.task_names[i].match(identity.name)) continue;
    if (!task.cluster.empty()) identity.cluster = task.cluster;
    if (!task.dataset.empty()) identity.dataset = task.dataset;
    identity.derived_from.insert(identity.derived_from.end(), task.derived_from.begin(),
                                 task.derived_from.end());
  }
  return identity;
}

std::vector<MissingSource> list_missing(const std::vector<OpenedCollection>& collections) {
  std::vector<MissingSource> missing;
  double total = 0;
  for (const OpenedCollection& collection : collections)
    total += collection.config.weight.value_or(0);
  for (const OpenedCollection& collection : collections)
    for (const CollectionSource& source : collection.config.sources) {
      const std::string path = resolve(collection.folder, source.path);
      if (!is_there(path))
        missing.push_back({collection.config.name, path,
                           source.obtain.empty() ? collection.config.obtain : source.obtain,
                           collection.config.weight ? *collection.config.weight / total : 0});
    }
  return missing;
}

[[noreturn]] void fail_on_missing(const std::vector<MissingSource>& missing) {
  std::string list;
  for (const MissingSource& source : missing) list += "\n  " + describe(source);
  fail(ErrorCode::NotFound,
       "[data.mixture] {} of the sources are not there (allows_missing draws from the rest):{}",
       missing.size(), list);
}

class Opener {
 public:
  Opener(const std::string& specs, const MixtureConfig& config, uint64_t seed)
      : config_(config), seed_(seed), hold_out_(config.hold_out) {
    collections_ = list_collections(specs, config, hold_out_);
    check_weights(collections_);
  }

  Mixture open() {
    missing_ = list_missing(collections_);
    if (!missing_.empty() && !config_.allows_missing) fail_on_missing(missing_);
    for (size_t c = 0; c < collections_.size(); ++c) open_collection(c);
    hold_out();
    take_subset();
    set_rates();
    Mixture mixture(std::move(tasks_), seed_);
    mixture.missing = std::move(missing_);
    mixture.held_out = std::move(held_out_names_);
    mixture.num_skipped = num_skipped_;
    return mixture;
  }

 private:
  void open_collection(size_t c) {
    const OpenedCollection& collection = collections_[c];
    Sources sources;
    std::set<std::string> builtin_tasks;
    for (const CollectionSource& source : collection.config.sources) {
      SourceConfig resolved = source;
      resolved.path = resolve(collection.folder, source.path);
      if (!is_there(resolved.path)) continue;
      if (config_.on_error == OnError::Skip) resolved.on_error = OnError::Skip;
      resolved.is_raw |= !collection.config.prompting.templates.empty();
      SourceReport report;
      for (auto& opened : open_sources(resolved, seed_, &report)) {
        if (resolved.path.starts_with(kBuiltin)) builtin_tasks.insert(opened->task());
        sources.push_back(std::move(opened));
      }
      num_skipped_ += report.num_skipped;
    }
    const NamePatterns wanted(collection.config.tasks, "tasks");
    const NamePatterns excluded(collection.config.excluded_tasks, "excluded_tasks");
    PromptingConfig prompting = collection.config.prompting;
    prompting.templates = resolve(collection.folder, prompting.templates);
    prompting.few_shot_templates = resolve(collection.folder, prompting.few_shot_templates);
    for (const auto& source : join_by_task(sources)) {
      if (!wanted.empty() && !wanted.find_in(source->task())) continue;
      if (excluded.find_in(source->task())) continue;
      MixtureTask task;
      std::string templates_task;
      task.source = source;
      task.collection = collection.config.name;
      task.identity = identify(*source, collection, templates_task);
      PromptingConfig own = prompting;
      if (own.templates.empty() && builtin_tasks.count(source->task()) > 0)
        own.templates = kBuiltin;
      task.prompter = std::make_shared<Prompter>(source, own, templates_task, seed_, prompt_files_);
      tasks_.push_back(std::move(task));
      collection_of_.push_back(c);
    }
  }

  template <class Keep>
  void keep_tasks(Keep keep) {
    size_t kept = 0;
    for (size_t i = 0; i < tasks_.size(); ++i) {
      if (!keep(i)) continue;
      if (kept != i) {
        tasks_[kept] = std::move(tasks_[i]);
        collection_of_[kept] = collection_of_[i];
      }
      ++kept;
    }
    tasks_.resize(kept);
    collection_of_.resize(kept);
  }

  void hold_out() {
    std::vector<TaskIdentity> identities;
    for (const MixtureTask& task : tasks_) identities.push_back(task.identity);
    const std::vector<bool> is_held_out = find_held_out(identities, hold_out_);
    for (size_t i = 0; i < tasks_.size(); ++i)
      if (is_held_out[i]) held_out_names_.push_back(tasks_[i].name());
    keep_tasks([&](size_t i) { return !is_held_out[i]; });
    if (tasks_.empty() && !missing_.empty()) fail_on_missing(missing_);
    if (tasks_.empty())
      fail(ErrorCode::InvalidConfig, "[data.mixture] no task is left to draw from");
  }

  void take_subset() {
    if (config_.num_tasks == 0) return;
    if (config_.num_tasks < 0 || config_.num_tasks > static_cast<int64_t>(tasks_.size()))
      fail(ErrorCode::InvalidConfig,
           "[data.mixture] num_tasks is {}, expected 1 to {}, or 0 for all", config_.num_tasks,
           tasks_.size());
    const RandomKey key =
        RandomKey(static_cast<uint64_t>(config_.subset_seed), RandomPurpose::DataOrder)
            .fold("tasks");
    std::vector<std::pair<uint64_t, size_t>> order;
    for (size_t i = 0; i < tasks_.size(); ++i)
      order.emplace_back(key.fold(tasks_[i].collection).fold(tasks_[i].name()).state(), i);
    std::sort(order.begin(), order.end());
    std::vector<bool> is_taken(tasks_.size(), false);
    for (int64_t i = 0; i < config_.num_tasks; ++i)
      is_taken[order[static_cast<size_t>(i)].second] = true;
    keep_tasks([&](size_t i) { return is_taken[i]; });
  }

  void set_rates() {
    for (size_t c = 0; c < collections_.size(); ++c) {
      std::vector<size_t> members;
      std::vector<TaskSize> sizes;
      for (size_t i = 0; i < tasks_.size(); ++i) {
        if (collection_of_[i] != c) continue;
        members.push_back(i);
        sizes.push_back({tasks_[i].name(), tasks_[i].cluster(), tasks_[i].source->size(),
                         tasks_[i].prompter->num_templates()});
      }
      if (members.empty()) continue;
      const CollectionConfig kept = without_absent(collections_[c].config, sizes);
      const std::vector<double> rates = task_rates(kept, sizes);
      double sum = 0;
      for (const double rate : rates) sum += rate;
      const double scale = kept.weight ? *kept.weight / sum : 1;
      for (size_t m = 0; m < members.size(); ++m) tasks_[members[m]].rate = rates[m] * scale;
    }
    std::vector<double> rates;
    std::vector<int64_t> sizes;
    for (const MixtureTask& task : tasks_) {
      rates.push_back(task.rate);
      sizes.push_back(task.source->size());
    }
    if (config_.num_examples <= 0) {
      for (size_t i = 0; i < tasks_.size(); ++i) tasks_[i].num_examples = sizes[i];
      return;
    }
    const std::vector<int64_t> counts = share_out_examples(config_.num_examples, rates, sizes);
    for (size_t i = 0; i < tasks_.size(); ++i) tasks_[i].num_examples = counts[i];
    keep_tasks([&](size_t i) { return counts[i] > 0; });
  }

  // Weights of tasks and clusters that were held out, left out of the subset or are missing.
  CollectionConfig without_absent(const CollectionConfig& collection,
                                  const std::vector<TaskSize>& tasks) const {
    const bool is_whole = hold_out_.empty() && config_.num_tasks == 0 && missing_.empty();
    if (is_whole) return collection;
    CollectionConfig kept = collection;
    std::erase_if(kept.task_weights, [&](const auto& entry) {
      return std::none_of(tasks.begin(), tasks.end(),
                          [&](const TaskSize& task) { return task.name == entry.first; });
    });
    std::erase_if(kept.cluster_weights, [&](const auto& entry) {
      return std::none_of(tasks.begin(), tasks.end(),
                          [&](const TaskSize& task) { return task.cluster == entry.first; });
    });
    return kept;
  }

  const MixtureConfig& config_;
  uint64_t seed_;
  std::vector<std::string> hold_out_, held_out_names_;
  std::vector<OpenedCollection> collections_;
  std::vector<MixtureTask> tasks_;
  std::vector<size_t> collection_of_;  // of every task
  std::vector<MissingSource> missing_;
  std::shared_ptr<PromptFiles> prompt_files_ = std::make_shared<PromptFiles>();
  int64_t num_skipped_ = 0;
};

}  // namespace

std::string describe(const MissingSource& source) {
  return fmt::format("{}{}: {}{}", source.collection,
                     source.asked > 0 ? fmt::format(" ({:.3g} % asked)", 100 * source.asked) : "",
                     source.path, source.obtain.empty() ? "" : ", " + source.obtain);
}

Mixture open_mixture(const std::string& specs, const MixtureConfig& config, uint64_t seed) {
  return Opener(specs, config, seed).open();
}

void check_mixture(const std::string& specs, const MixtureConfig& config) {
  std::vector<std::string> hold_out;
  const auto collections = list_collections(specs, config, hold_out);
  check_weights(collections);
  const auto missing = list_missing(collections);
  if (!missing.empty() && !config.allows_missing) fail_on_missing(missing);
  for (const OpenedCollection& collection : collections)
    for (const CollectionSource& source : collection.config.sources)
      if (source.path.starts_with(kBuiltin)) (void)open_sources(source.path, 0);
}

std::vector<std::string> mixture_inputs(const std::string& spec, const MixtureConfig& config) {
  std::vector<std::string> hold_out, paths;
  for (const OpenedCollection& collection : list_collections(spec, config, hold_out)) {
    const auto add = [&](const std::string& path) {
      const std::string resolved = resolve(collection.folder, path);
      if (resolved.empty() || !is_there(resolved)) return;
      if (std::find(paths.begin(), paths.end(), resolved) == paths.end()) paths.push_back(resolved);
    };
    for (const CollectionSource& source : collection.config.sources) add(source.path);
    add(collection.config.prompting.templates);
    add(collection.config.prompting.few_shot_templates);
  }
  return paths;
}

}  // namespace flanmoe::data
