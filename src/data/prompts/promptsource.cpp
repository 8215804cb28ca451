// promptsource's templates, as YAML (its own form, with the tags !Template and !TemplateMetadata)
// and as JSON.
#include <yaml-cpp/yaml.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "data/prompts/prompt_set.h"
#include "data/prompts/prompts.h"

namespace flanmoe::data {
namespace {

struct Source {
  std::string name, jinja, answer_choices;
  PromptTraits traits;
};

Prompts make_prompts(const std::vector<Source>& sources, const std::string& task) {
  Prompts prompts;
  for (const Source& source : sources) {
    TemplateParts parts;
    parts.name = source.name;
    parts.traits = source.traits;
    prompts.push_back(make_jinja_prompt(parts, fmt::format("{} '{}'", task, source.name),
                                        source.jinja, source.answer_choices));
  }
  return prompts;
}

std::string task_name(const std::string& dataset, const std::string& subset) {
  return subset.empty() ? dataset : dataset + "/" + subset;
}

// ---- JSON ----

std::string read_text(const Json& object, const char* key, const std::string& where,
                      bool may_be_missing = false) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) {
    if (may_be_missing) return {};
    fail(ErrorCode::InvalidConfig, "{}: '{}' is missing", where, key);
  }
  if (!found->is_string())
    fail(ErrorCode::InvalidConfig, "{}: '{}' has to be a text, found {}", where, key,
         found->type_name());
  return found->get<std::string>();
}

bool read_truth(const Json& object, const char* key, const std::string& where, bool otherwise) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return otherwise;
  if (!found->is_boolean())
    fail(ErrorCode::InvalidConfig, "{}: '{}' has to be true or false, found {}", where, key,
         found->type_name());
  return found->get<bool>();
}

Source read_source(const Json& entry, const std::string& where) {
  if (!entry.is_object())
    fail(ErrorCode::InvalidConfig, "{}: expected an object, found {}", where, entry.type_name());
  Source source;
  source.name = read_text(entry, "name", where);
  const std::string place = fmt::format("{} '{}'", where, source.name);
  source.jinja = read_text(entry, "jinja", place);
  source.answer_choices = read_text(entry, "answer_choices", place, true);
  source.traits.is_original_task = read_truth(entry, "original_task", place, true);
  source.traits.shows_choices = read_truth(entry, "choices_in_prompt", place, false);
  return source;
}

// ---- YAML ----

[[noreturn]] void fail_yaml(const std::string& path, const YAML::Mark& mark,
                            const std::string& message) {
  fail(ErrorCode::CorruptFile, "{}:{}: {}", path, mark.is_null() ? 1 : mark.line + 1, message);
}

std::string read_text(const YAML::Node& map, const char* key, const std::string& path,
                      bool may_be_missing = false) {
  const YAML::Node value = map[key];
  if (!value || value.IsNull()) {
    if (may_be_missing) return {};
    fail_yaml(path, map.Mark(), fmt::format("'{}' is missing", key));
  }
  if (!value.IsScalar()) fail_yaml(path, value.Mark(), fmt::format("'{}' has to be a text", key));
  return value.Scalar();
}

bool read_truth(const YAML::Node& map, const char* key, const std::string& path, bool otherwise) {
  const YAML::Node value = map[key];
  if (!value || value.IsNull()) return otherwise;
  bool truth = false;
  if (!value.IsScalar() || !YAML::convert<bool>::decode(value, truth))
    fail_yaml(path, value.Mark(), fmt::format("'{}' has to be true or false", key));
  return truth;
}

Source read_source(const YAML::Node& entry, const std::string& path) {
  if (!entry.IsMap()) fail_yaml(path, entry.Mark(), "expected a template with name and jinja");
  Source source;
  source.name = read_text(entry, "name", path);
  source.jinja = read_text(entry, "jinja", path);
  source.answer_choices = read_text(entry, "answer_choices", path, true);
  if (const YAML::Node metadata = entry["metadata"]; metadata && metadata.IsMap()) {
    source.traits.is_original_task = read_truth(metadata, "original_task", path, true);
    source.traits.shows_choices = read_truth(metadata, "choices_in_prompt", path, false);
  }
  return source;
}

PromptSet::Task read_yaml_task(const std::string& path) {
  try {
    const YAML::Node document = YAML::Load(read_file(path));
    if (!document.IsMap() || !document["templates"] || !document["templates"].IsMap())
      fail_yaml(path, document.Mark(), "expected 'dataset' and a map 'templates'");
    const std::string task =
        task_name(read_text(document, "dataset", path), read_text(document, "subset", path, true));
    std::vector<Source> sources;
    for (const auto& entry : document["templates"])
      sources.push_back(read_source(entry.second, path));
    return {task, [sources, where = fmt::format("{}: {}", path, task)] {
              return make_prompts(sources, where);
            }};
  } catch (const YAML::Exception& exception) {
    fail_yaml(path, exception.mark, exception.msg);
  }
}

}  // namespace

PromptSet read_promptsource_json(const Json& document, const std::string& path) {
  const Json& datasets = document["datasets"];
  if (!datasets.is_object())
    fail(ErrorCode::InvalidConfig, "{}: 'datasets' has to be an object, found {}", path,
         datasets.type_name());
  PromptSet set;
  for (const auto& [task, dataset] : datasets.items()) {
    const std::string where = fmt::format("{}: {}", path, task);
    if (!dataset.is_object() || !dataset.contains("templates") || !dataset["templates"].is_array())
      fail(ErrorCode::InvalidConfig, "{}: expected an object with a list 'templates'", where);
    set.tasks.push_back({task, [templates = dataset["templates"], where] {
                           std::vector<Source> sources;
                           for (size_t i = 0; i < templates.size(); ++i)
                             sources.push_back(read_source(templates[i], where));
                           return make_prompts(sources, where);
                         }});
  }
  return set;
}

PromptSet read_promptsource_yaml(const std::string& path) {
  PromptSet set;
  set.tasks.push_back(read_yaml_task(path));
  return set;
}

PromptSet read_promptsource_folder(const std::string& path) {
  PromptSet set;
  for (const std::string& file : list_files(path))
    if (file.ends_with(".yaml") || file.ends_with(".yml"))
      set.tasks.push_back(read_yaml_task(file));
  if (set.tasks.empty()) fail(ErrorCode::NotFound, "{}: the folder has no .yaml files", path);
  return set;
}

}  // namespace flanmoe::data
