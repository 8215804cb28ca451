#include "data/source.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/nearest.h"
#include "data/builtin.h"
#include "data/cache.h"
#include "data/sources/format.h"
#include "data/sources/store.h"
#include "data/sources/table.h"

namespace flanmoe::data {
namespace {

class BuiltinSource : public Source {
 public:
  BuiltinSource(const builtin::TaskInfo& task, const builtin::Options& options, uint64_t seed)
      : task_(task), options_(options), seed_(seed) {}
  std::string task() const override { return task_.name; }
  std::string cluster() const override { return task_.cluster; }
  int64_t size() const override { return -1; }
  Example get(uint64_t index) const override {
    return builtin::make_example(task_.name, builtin::Split::Train, builtin::TemplateSet::Seen,
                                 seed_, index, options_);
  }

 private:
  builtin::TaskInfo task_;
  builtin::Options options_;
  uint64_t seed_;
};

Sources open_builtin(const std::string& spec, uint64_t seed) {
  const builtin::Selection selection = builtin::select_for_training(spec);
  Sources sources;
  for (const builtin::TaskInfo& task : selection.tasks)
    sources.push_back(std::make_shared<BuiltinSource>(task, selection.options, seed));
  return sources;
}

constexpr size_t kMaxSkippedInLog = 10;
// Part of the name of a store: another number, other stores.
constexpr int64_t kStoreRules = 1;

// Examples of one task in a store.
class StoredSource : public Source {
 public:
  StoredSource(std::shared_ptr<const Store> store, size_t task, std::string content_hash)
      : store_(std::move(store)), task_(task), content_hash_(std::move(content_hash)) {}
  std::string task() const override { return store_->tasks()[task_].name; }
  std::string cluster() const override { return store_->tasks()[task_].cluster; }
  int64_t size() const override { return static_cast<int64_t>(store_->tasks()[task_].size); }
  Example get(uint64_t index) const override {
    if (index >= store_->tasks()[task_].size)
      fail(ErrorCode::InvalidArgument, "[data] example {} of task '{}' was asked for, it has {}",
           index, task(), size());
    return store_->get(task_, index);
  }
  std::string content_hash() const override { return content_hash_; }

 private:
  std::shared_ptr<const Store> store_;
  size_t task_;
  std::string content_hash_;
};

struct DataFile {
  std::string path, name;  // `name`: relative to the folder that was given
  const Format* format;
};

// What can be read once only: standard input, a pipe.
bool is_stream(const std::string& path) {
  std::error_code ignored;
  return path == "-" ||
         (std::filesystem::exists(path, ignored) && !is_file(path) && !is_folder(path));
}

std::vector<DataFile> list_data_files(const SourceConfig& config) {
  const bool is_auto = config.format == "auto";
  const Format* asked = is_auto ? nullptr : &find_format(config.format);
  if (is_stream(config.path))
    return {{config.path, config.path == "-" ? "stdin" : config.path,
             asked ? asked : &find_format("jsonl")}};
  if (!is_folder(config.path)) {
    const Format* format = asked;
    if (!format) {
      (void)LineReader(config.path);  // a file that is not there
      format = recognise_format(config.path);
      if (!format) format = recognise_content(config.path);
    }
    if (!format)
      fail(ErrorCode::InvalidArgument,
           "[data] {} is of no format that its name or content tells; name one with format = ({})",
           config.path, fmt::join(format_names(), ", "));
    return {{config.path, std::filesystem::path(config.path).filename().string(), format}};
  }
  std::vector<DataFile> files;
  std::string folder = config.path;
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  for (const std::string& path : list_files(config.path)) {
    const Format* format = recognise_format(path);
    // tsv-unquoted has the names of tsv.
    const bool is_wanted =
        is_auto ? format != nullptr : format != nullptr && asked->name.starts_with(format->name);
    if (is_wanted)
      files.push_back({path, std::filesystem::path(path).lexically_relative(folder).string(),
                       asked ? asked : format});
  }
  if (files.empty())
    fail(ErrorCode::NotFound, "[data] the folder {} has no {} files", config.path,
         is_auto ? fmt::format("{}", fmt::join(format_names(), ", ")) : config.format);
  return files;
}

std::string store_name(const SourceConfig& config, const std::vector<DataFile>& files) {
  Hasher content, settings;
  for (const DataFile& file : files) content.add(hash_file_once(file.path));
  settings.add(fmt::format("{}\n", kStoreRules));
  for (const DataFile& file : files)
    settings.add(
        Json({file.name, file.format->name}).dump(-1, ' ', false, Json::error_handler_t::replace));
  Json map = Json::object();
  for (const auto& [key, column] : config.field_map) map[key] = column;
  settings.add(Json({config.task, config.cluster, map, to_string(config.on_error), config.is_raw})
                   .dump(-1, ' ', false, Json::error_handler_t::replace));
  return "examples-" + content.hex() + "-" + settings.hex();
}

// "data.csv:7: what is wrong" -> "what is wrong"
std::string reason_of(const Error& error, const std::string& where) {
  const std::string message = error.what();
  return message.starts_with(where + ": ") ? message.substr(where.size() + 2) : message;
}

void fill_store(const SourceConfig& config, const std::vector<DataFile>& files,
                const std::string& folder) {
  std::vector<std::string> names;
  for (const DataFile& file : files) names.push_back(file.name);
  StoreWriter writer(folder, std::move(names));
  for (size_t f = 0; f < files.size(); ++f) {
    const DataFile& file = files[f];
    const std::string shown = file.path == "-" ? "stdin" : file.path;
    const auto reader = file.format->open(file.path);
    const RowMapper mapper(config, *file.format, *reader, shown);
    const FileTraits traits = reader->traits();
    const std::string task = config.task.empty() ? stem_of(file.path) : config.task;
    const std::string cluster = config.cluster.empty() ? traits.cluster : config.cluster;
    writer.set_traits(f, traits);
    for (Row row; reader->next(row);) {
      const std::string where = fmt::format("{}:{}", shown, row.line);
      try {
        if (row.error) throw *row.error;
        Example example = mapper.map(std::move(row.columns), where);
        if (example.task.empty()) example.task = task;
        if (example.cluster.empty()) example.cluster = cluster;
        if (example.lang.empty()) example.lang = traits.lang;
        writer.add(example, f, row.line, !mapper.includes_traits());
      } catch (const Error& error) {
        const bool is_row =
            error.code() == ErrorCode::CorruptFile || error.code() == ErrorCode::InvalidArgument;
        if (config.on_error == OnError::Stop || !is_row) throw;
        writer.skip({f, row.line, reason_of(error, where)});
      }
    }
  }
  writer.finish();
}

Sources open_files(const SourceConfig& config, SourceReport& report) {
  const std::vector<DataFile> files = list_data_files(config);
  std::vector<std::string> paths;
  for (const DataFile& file : files) paths.push_back(file.path == "-" ? "stdin" : file.path);
  std::shared_ptr<const Store> store;
  const auto use = [&](const std::string& folder) {
    store = Store::open(folder, paths);
    return store != nullptr;
  };
  const auto make = [&](const std::string& folder) { fill_store(config, files, folder); };
  std::string name;
  if (is_stream(config.path)) {
    use_temporary(use, make);
  } else {
    name = store_name(config, files);
    use_cached(name, use, make);
  }

  report.num_examples = static_cast<int64_t>(store->size());
  report.num_skipped = store->num_skipped();
  for (const SkippedRow& row : store->skipped())
    report.skipped.push_back(fmt::format("{}:{}: {}", paths.at(row.file), row.line, row.reason));
  for (size_t i = 0; i < std::min(kMaxSkippedInLog, report.skipped.size()); ++i)
    log::warn("[data] skipped {}", report.skipped[i]);
  if (report.num_skipped > static_cast<int64_t>(kMaxSkippedInLog))
    log::warn("[data] skipped {} rows of {} in all", report.num_skipped, config.path);
  if (store->size() == 0)
    fail(ErrorCode::InvalidArgument, "[data] {} has no examples{}", config.path,
         report.num_skipped == 0 ? ""
                                 : fmt::format(": all {} rows were skipped, the first as {}",
                                               report.num_skipped, report.skipped.front()));
  Sources sources;
  for (size_t task = 0; task < store->tasks().size(); ++task)
    sources.push_back(std::make_shared<StoredSource>(
        store, task, name.empty() ? "" : fmt::format("{}-{}", name, task)));
  return sources;
}

}  // namespace

std::vector<std::string> split_specs(const std::string& specs) {
  std::vector<std::string> parts;
  size_t begin = 0;
  while (begin <= specs.size()) {
    const size_t end = std::min(specs.find(',', begin), specs.size());
    const size_t first = specs.find_first_not_of(" \t\n", begin);
    if (first < end)
      parts.push_back(specs.substr(first, specs.find_last_not_of(" \t\n", end - 1) - first + 1));
    begin = end + 1;
  }
  return parts;
}

Sources open_sources(const SourceConfig& config, uint64_t seed, SourceReport* report) {
  SourceReport own;
  SourceReport& result = report ? *report : own;
  result = {};
  const std::string prefix = "builtin:";
  if (config.path.starts_with(prefix)) {
    result.num_examples = -1;
    return open_builtin(config.path.substr(prefix.size()), seed);
  }
  return open_files(config, result);
}

Sources open_sources(const std::string& path, uint64_t seed) {
  SourceConfig config;
  config.path = path;
  return open_sources(config, seed);
}

}  // namespace flanmoe::data
