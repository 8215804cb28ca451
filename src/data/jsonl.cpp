#include "data/jsonl.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/nearest.h"
#include "data/text_file.h"

namespace flanmoe::data {
namespace {

bool is_jsonl(const std::string& path) {
  return is_named(path, ".jsonl");
}

// The value of a key; null counts as not there.
const Json* find(const Json& line, const char* key) {
  auto found = line.find(key);
  return found == line.end() || found->is_null() ? nullptr : &*found;
}

[[noreturn]] void fail_type(const std::string& where, const std::string& key, const char* expected,
                            const Json& found) {
  fail(ErrorCode::InvalidArgument, "{}: [data] '{}' is {} ({}), expected {}", where, key,
       found.type_name(), found.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 60),
       expected);
}

std::string read_text(const Json& line, const char* key, const std::string& where) {
  const Json* value = find(line, key);
  if (value == nullptr) return "";
  if (!value->is_string()) fail_type(where, key, "a string", *value);
  return value->get<std::string>();
}

std::string require_text(const Json& line, const char* key, const std::string& where) {
  if (find(line, key) == nullptr) {
    std::vector<std::string> keys;
    for (const auto& [name, value] : line.items())
      if (name != "fields") keys.push_back(name);
    if (const Json* fields = find(line, "fields"); fields && fields->is_object())
      for (const auto& [name, value] : fields->items())
        if (!line.contains(name)) keys.push_back(name);
    fail(ErrorCode::InvalidArgument, "{}: [data] the line has no '{}'{}", where, key,
         suggestion(key, keys));
  }
  return read_text(line, key, where);
}

std::vector<std::string> read_texts(const Json& line, const char* key, const std::string& where) {
  const Json* value = find(line, key);
  if (value == nullptr) return {};
  if (!value->is_array()) fail_type(where, key, "a list of strings", *value);
  std::vector<std::string> texts;
  for (size_t i = 0; i < value->size(); ++i) {
    if (!(*value)[i].is_string())
      fail_type(where, fmt::format("{}[{}]", key, i), "a string", (*value)[i]);
    texts.push_back((*value)[i].get<std::string>());
  }
  return texts;
}

// Every data file that `path` names.
std::vector<std::string> expand(const std::string& path, bool (*is_wanted)(const std::string&),
                                const char* wanted) {
  if (path == "-" || !is_folder(path)) return {path};
  std::vector<std::string> files;
  for (const std::string& file : list_files(path))
    if (is_wanted(file)) files.push_back(file);
  if (files.empty())
    fail(ErrorCode::NotFound, "[data] the folder {} has no {} files", path, wanted);
  return files;
}

}  // namespace

Example parse_example(const Json& line, const std::string& where, bool requires_targets) {
  if (!line.is_object())
    fail(ErrorCode::CorruptFile, "{}: [data] the line is {}, expected an object", where,
         line.type_name());
  Example example;
  example.where = where;
  example.inputs = require_text(line, "inputs", where);
  example.targets =
      requires_targets ? require_text(line, "targets", where) : read_text(line, "targets", where);
  if (const Json* id = find(line, "id")) {
    if (!id->is_string() && !id->is_number()) fail_type(where, "id", "a string", *id);
    example.id = field_text(*id);
  } else {
    example.id = where;
  }
  example.task = read_text(line, "task", where);
  example.cluster = read_text(line, "cluster", where);
  example.split = read_text(line, "split", where);
  example.lang = read_text(line, "lang", where);
  example.rationale = read_text(line, "rationale", where);
  example.template_name = read_text(line, "template", where);
  if (find(line, "adapter")) example.adapter = read_text(line, "adapter", where);
  example.choices = read_texts(line, "choices", where);
  example.references = read_texts(line, "references", where);
  if (const Json* answer = find(line, "answer_index")) {
    if (!answer->is_number_integer()) fail_type(where, "answer_index", "an integer", *answer);
    const auto num_choices = static_cast<int64_t>(example.choices.size());
    if (num_choices == 0)
      fail(ErrorCode::InvalidArgument, "{}: [data] 'answer_index' is there but 'choices' is not",
           where);
    if ((answer->is_number_unsigned() && answer->get<uint64_t>() > INT64_MAX) ||
        answer->get<int64_t>() < 0 || answer->get<int64_t>() >= num_choices)
      fail(ErrorCode::InvalidArgument,
           "{}: [data] 'answer_index' is {}, expected 0 to {} (there are {} choices)", where,
           answer->dump(), num_choices - 1, num_choices);
    example.answer_index = answer->get<int64_t>();
  }
  if (const Json* fields = find(line, "fields")) {
    if (!fields->is_object()) fail_type(where, "fields", "an object", *fields);
    example.fields = *fields;
  }
  return example;
}

void for_each_example(const std::string& path, const std::function<void(Example&&)>& visit,
                      bool requires_targets) {
  for (const std::string& file : expand(path, is_jsonl, ".jsonl or .jsonl.gz")) {
    LineReader reader(file);
    for (std::string line; reader.next(line);) {
      if (is_blank(line)) continue;
      const std::string where = reader.where();
      visit(parse_example(parse_json(line, where), where, requires_targets));
    }
  }
}

std::vector<Example> load_examples(const std::string& path, bool requires_targets) {
  std::vector<Example> examples;
  for_each_example(
      path, [&](Example&& example) { examples.push_back(std::move(example)); }, requires_targets);
  return examples;
}

Json to_json(const Example& example) {
  Json line;
  line["id"] = example.id;
  if (!example.task.empty()) line["task"] = example.task;
  line["inputs"] = example.inputs;
  line["targets"] = example.targets;
  if (!example.choices.empty()) line["choices"] = example.choices;
  if (example.answer_index >= 0) line["answer_index"] = example.answer_index;
  if (!example.references.empty()) line["references"] = example.references;
  if (!example.rationale.empty()) line["rationale"] = example.rationale;
  if (!example.fields.empty()) line["fields"] = example.fields;
  if (!example.template_name.empty()) line["template"] = example.template_name;
  if (example.adapter) line["adapter"] = *example.adapter;
  if (!example.cluster.empty()) line["cluster"] = example.cluster;
  if (!example.split.empty()) line["split"] = example.split;
  if (!example.lang.empty()) line["lang"] = example.lang;
  return line;
}

}  // namespace flanmoe::data
