// A user's own templates.
#include <algorithm>

#include "base/config.h"
#include "base/error.h"
#include "data/prompts/prompt_set.h"
#include "data/prompts/prompts.h"

namespace flanmoe::data {
namespace {

enum class TemplateKind { Plain, Jinja };

}  // namespace
}  // namespace flanmoe::data

template <>
struct flanmoe::EnumNames<flanmoe::data::TemplateKind> {
  static constexpr std::pair<data::TemplateKind, std::string_view> values[] = {
      {data::TemplateKind::Plain, "plain"}, {data::TemplateKind::Jinja, "jinja"}};
};

namespace flanmoe::data {
namespace {

struct TemplateConfig {
  std::string name, task, inputs, targets, jinja, answer_choices;
  TemplateKind kind = TemplateKind::Plain;
  bool is_inverted = false, is_original_task = true, shows_choices = false;
  FewShotLayout layout;
  template <class Visitor>
  void visit(Visitor& v) {
    v("name", name, "unique among the templates of a task");
    v("task", task, "the task that it is for; empty: any");
    v("kind", kind, "plain: {field}; jinja: promptsource's");
    v("inputs", inputs, "what the model reads");
    v("targets", targets, "what it writes");
    v("jinja", jinja, "inputs ||| targets in one, instead of these two");
    v("answer_choices", answer_choices, "the choices with ||| between them (jinja)");
    v("is_inverted", is_inverted, "the answer is given and the question asked");
    v("is_original_task", is_original_task, "false: another question about the same data");
    v("shows_choices", shows_choices, "the options stand in the inputs");
    v("inputs_prefix", layout.inputs_prefix, "before the inputs of an exemplar");
    v("targets_prefix", layout.targets_prefix, "before the targets of an exemplar");
    v("x_y_delimiter", layout.x_y_delimiter, "between the inputs and targets of an exemplar");
    v("example_separator", layout.example_separator, "behind an exemplar");
    v("final_suffix", layout.final_suffix, "behind the query");
    v("input_pattern", layout.input_pattern, "around a few-shot prompt: {inputs} and fields");
  }
};

struct FileConfig {
  std::vector<TemplateConfig> templates;
  template <class Visitor>
  void visit(Visitor& v) {
    v("templates", templates, "the templates");
  }
};

std::shared_ptr<const Prompt> make_prompt(const TemplateConfig& config, const std::string& where) {
  TemplateParts parts{config.name, config.inputs, config.targets, config.layout, {}};
  parts.traits.is_inverted = config.is_inverted;
  parts.traits.is_original_task = config.is_original_task;
  parts.traits.shows_choices = config.shows_choices;
  if (config.jinja.empty() && config.kind == TemplateKind::Plain)
    return make_plain_prompt(parts, where);
  return make_jinja_prompt(
      parts, where, config.jinja.empty() ? config.inputs + "|||" + config.targets : config.jinja,
      config.answer_choices);
}

void check(const TemplateConfig& config, const std::string& where) {
  const bool has_sides = !config.inputs.empty() || !config.targets.empty();
  if (config.jinja.empty() ? config.inputs.empty() || config.targets.empty() : has_sides)
    fail(ErrorCode::InvalidConfig, "{}: expected 'inputs' and 'targets', or 'jinja' alone", where);
  if (!config.answer_choices.empty() && config.jinja.empty() && config.kind == TemplateKind::Plain)
    fail(ErrorCode::InvalidConfig, "{}: 'answer_choices' goes with kind = \"jinja\"", where);
  if (!config.jinja.empty() && config.jinja.find("|||") == std::string::npos)
    fail(ErrorCode::InvalidConfig, "{}: 'jinja' has no '|||' between inputs and targets", where);
}

}  // namespace

PromptSet read_toml_prompts(const std::string& path) {
  const ConfigNode document = load_toml(path);
  FileConfig file;
  parse_config(document, "", file);
  if (file.templates.empty()) fail(ErrorCode::InvalidConfig, "{}: no [[templates]]", path);
  std::vector<std::pair<std::string, std::vector<std::pair<TemplateConfig, std::string>>>> tasks;
  for (size_t i = 0; i < file.templates.size(); ++i) {
    TemplateConfig& config = file.templates[i];
    if (config.name.empty()) config.name = fmt::format("template_{}", i);
    const ConfigNode* list = document.find("templates");
    const std::string where = fmt::format("{} '{}'", list->elements[i].where, config.name);
    check(config, where);
    auto task = std::find_if(tasks.begin(), tasks.end(),
                             [&](const auto& entry) { return entry.first == config.task; });
    if (task == tasks.end()) task = tasks.insert(tasks.end(), {config.task, {}});
    for (const auto& [other, place] : task->second)
      if (other.name == config.name)
        fail(ErrorCode::InvalidConfig, "{}: the name is taken by {}", where, place);
    task->second.emplace_back(config, where);
  }
  PromptSet set;
  for (auto& [task, templates] : tasks) {
    auto make = [templates = std::move(templates)] {
      Prompts prompts;
      for (const auto& [config, where] : templates) prompts.push_back(make_prompt(config, where));
      return prompts;
    };
    if (task.empty())
      set.make_for_any_task = std::move(make);
    else
      set.tasks.push_back({task, std::move(make)});
  }
  return set;
}

}  // namespace flanmoe::data
