// FLAN's templates: patterns of FLAN 2021 and 2022, zero-shot and few-shot, and their baselines.
#include <algorithm>
#include <map>
#include <optional>

#include "base/error.h"
#include "base/json.h"
#include "base/nearest.h"
#include "data/prompts/prompt_set.h"
#include "data/prompts/prompts.h"
#include "text/template.h"

namespace flanmoe::data {
namespace {

const std::vector<std::string>& pattern_keys() {
  static const std::vector<std::string> keys = {
      "inputs",         "targets",       "inputs_prefix",
      "targets_prefix", "x_y_delimiter", "example_separator",
      "final_suffix",   "input_pattern", "in_template_mix"};
  return keys;
}

std::string read_text(const Json& value, const std::string& where, const std::string& key) {
  if (!value.is_string())
    fail(ErrorCode::InvalidConfig, "{}: '{}' has to be a text, found {}", where, key,
         value.type_name());
  return value.get<std::string>();
}

// Python's str.format of an input_pattern: {{name}} stays as {name}, {final_suffix} goes, since the
// layout keeps it apart.
std::string read_input_pattern(const std::string& pattern, const std::string& where) {
  std::string result;
  static constexpr std::string_view suffix = "{final_suffix}";
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern.compare(i, 2, "{{") == 0 || pattern.compare(i, 2, "}}") == 0) {
      result += pattern[i++];
    } else if (pattern.compare(i, suffix.size(), suffix) == 0) {
      if (i + suffix.size() != pattern.size())
        fail(ErrorCode::Unsupported, "{}: {{final_suffix}} has to end the input_pattern", where);
      break;
    } else {
      result += pattern[i];
    }
  }
  return result;
}

void read_pattern(const Json& pattern, const std::string& where, TemplateParts& parts) {
  if (!pattern.is_object())
    fail(ErrorCode::InvalidConfig, "{}: expected an object with 'inputs' and 'targets', found {}",
         where, pattern.type_name());
  for (const auto& [key, value] : pattern.items()) {
    if (key == "in_template_mix") {
      if (!value.is_boolean())
        fail(ErrorCode::InvalidConfig, "{}: 'in_template_mix' has to be true or false, found {}",
             where, value.type_name());
      parts.traits.is_for_mixing = value.get<bool>();
      continue;
    }
    std::string* const places[] = {&parts.inputs,
                                   &parts.targets,
                                   &parts.layout.inputs_prefix,
                                   &parts.layout.targets_prefix,
                                   &parts.layout.x_y_delimiter,
                                   &parts.layout.example_separator,
                                   &parts.layout.final_suffix,
                                   &parts.layout.input_pattern};
    const auto& keys = pattern_keys();
    const auto found = std::find(keys.begin(), keys.end(), key);
    if (found == keys.end())
      fail(ErrorCode::InvalidConfig, "{}: unknown key '{}'{}", where, key, suggestion(key, keys));
    std::string text = read_text(value, where, key);
    if (key == "input_pattern") text = read_input_pattern(text, where);
    *places[found - keys.begin()] = std::move(text);
  }
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// A template is inverted where the inputs give what is otherwise asked for: an answer that the
// targets do not have, or the field that most targets of the task consist of.
void flag_inverted(std::vector<TemplateParts>& templates, const std::string& where) {
  static constexpr std::string_view answers[] = {"answer",       "answer_str",      "target",
                                                 "targets",      "output",          "glm_answer",
                                                 "options_gold", "numbered_answers"};
  std::vector<std::vector<std::string>> asked, given;
  std::map<std::string, int> counts;
  for (const TemplateParts& parts : templates) {
    given.push_back(text::Template(parts.inputs, where).field_names());
    asked.push_back(text::Template(parts.targets, where).field_names());
    for (const std::string& name : asked.back()) ++counts[name];
  }
  std::string usual;
  for (const auto& names : asked)
    for (const std::string& name : names)
      if (usual.empty() || counts[name] > counts[usual]) usual = name;
  for (size_t i = 0; i < templates.size(); ++i) {
    const auto is_answer_in = [&](const std::vector<std::string>& names) {
      return std::any_of(std::begin(answers), std::end(answers),
                         [&](std::string_view name) { return contains(names, name); });
    };
    const bool gives_answer = is_answer_in(given[i]) && !is_answer_in(asked[i]);
    const bool gives_usual =
        !usual.empty() && contains(given[i], usual) && !contains(asked[i], usual);
    templates[i].traits.is_inverted = gives_answer || gives_usual;
  }
}

Prompts make_prompts(const Json& patterns, const TemplateParts& defaults,
                     const std::vector<std::string>& option_headings, const std::string& where) {
  if (!patterns.is_array())
    fail(ErrorCode::InvalidConfig, "{}: expected a list of templates, found {}", where,
         patterns.type_name());
  std::vector<TemplateParts> templates;
  for (size_t i = 0; i < patterns.size(); ++i) {
    TemplateParts parts = defaults;
    parts.name = fmt::format("template_{}", i);
    const std::string place = fmt::format("{} '{}'", where, parts.name);
    read_pattern(patterns[i], place, parts);
    for (const char* key : {"inputs", "targets"})
      if (!patterns[i].contains(key))
        fail(ErrorCode::InvalidConfig, "{}: '{}' is missing", place, key);
    templates.push_back(std::move(parts));
  }
  flag_inverted(templates, where);
  Prompts prompts;
  for (const TemplateParts& parts : templates)
    prompts.push_back(
        make_plain_prompt(parts, fmt::format("{} '{}'", where, parts.name), option_headings));
  return prompts;
}

}  // namespace

PromptSet read_flan_prompts(const Json& document, const std::string& path) {
  TemplateParts defaults;
  if (document.contains("defaults")) {
    read_pattern(document["defaults"], path + ": defaults", defaults);
  }
  std::vector<std::string> headings;
  if (document.contains("option_start_strings")) {
    const Json& list = document["option_start_strings"];
    if (!list.is_array() || list.empty())
      fail(ErrorCode::InvalidConfig, "{}: 'option_start_strings' has to be a list of texts", path);
    for (const Json& heading : list)
      headings.push_back(read_text(heading, path, "option_start_strings"));
  } else {
    headings = {"OPTIONS:"};
  }

  PromptSet set;
  const auto add_section = [&](const std::string& section, const Json& tasks) {
    if (!tasks.is_object())
      fail(ErrorCode::InvalidConfig, "{}: '{}' has to be an object of tasks, found {}", path,
           section, tasks.type_name());
    for (const auto& [task, patterns] : tasks.items()) {
      const std::string name = section == "patterns" ? task : section + "/" + task;
      set.tasks.push_back({name, [patterns = patterns, defaults, headings,
                                  where = fmt::format("{}: {}", path, name)] {
                             return make_prompts(patterns, defaults, headings, where);
                           }});
    }
  };
  add_section("patterns", document["patterns"]);
  for (const auto& [section, tasks] : document.items())
    if (section != "patterns" && section.find("patterns") != std::string::npos)
      add_section(section, tasks);
  if (document.contains("aliases"))
    for (const auto& [alias, task] : document["aliases"].items())
      set.aliases.emplace_back(alias, read_text(task, path + ": aliases", alias));
  return set;
}

}  // namespace flanmoe::data
