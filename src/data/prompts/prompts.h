// Sets of prompts on disk: FLAN's templates as JSON, promptsource's as published (YAML) or as JSON,
// and TOML files of a user's own.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/prompt.h"

namespace flanmoe::data {

struct PromptSet;

// Files and folders of prompts, each read once. `path` is
// * "builtin:", the templates of the built-in collection.
// * JSON with `patterns` (FLAN): task -> [{inputs, targets, ...}], with the sections, `aliases`,
//   `defaults` and `option_start_strings` of FLAN 2022 where the file has them. A task of another
//   section than `patterns` is "patterns_branched/rte".
// * JSON with `datasets`, a YAML file, or a folder of YAML files (promptsource): a task is
//   "dataset/subset", or the dataset where that is one set. "super_glue_rte" is super_glue/rte.
// * TOML with [[templates]]: name, task (none: every task), inputs and targets or `jinja` with |||,
//   kind = "plain" | "jinja", answer_choices, and the keys of FewShotLayout.
class PromptFiles {
 public:
  // The prompts of one task. Throws NotFound with the nearest task, CorruptFile or InvalidConfig
  // naming file and place.
  Prompts open(const std::string& path, const std::string& task);
  // The tasks that a set names, in its order; aliases after what they stand for. Empty where every
  // template is for any task.
  std::vector<std::string> list_tasks(const std::string& path);

 private:
  const PromptSet& read(const std::string& path);
  std::map<std::string, std::shared_ptr<const PromptSet>> sets_;
};

// Of a single task or file.
Prompts open_prompts(const std::string& path, const std::string& task);
std::vector<std::string> list_prompt_tasks(const std::string& path);

// One template of a set, from its parts. `where` is the name that messages begin with.
struct TemplateParts {
  std::string name;
  std::string inputs;
  std::string targets;
  FewShotLayout layout;
  PromptTraits traits;
};

// FLAN's style: {field}. A name is looked up among the raw fields, then among what every example
// has: {options_} and {options_str} are the list of choices under one of `option_headings` (drawn),
// {answer}, {target}, {targets} and {output} the right answer, {inputs} and {input}, and
// {chain_of_thought}, {cot}, {rationale} and {explanation} the rationale. The traits shows_choices
// and has_rationale follow from the names. Throws InvalidConfig where a template cannot be read.
std::shared_ptr<const Prompt> make_plain_prompt(const TemplateParts& parts,
                                                const std::string& where,
                                                const std::vector<std::string>& option_headings = {
                                                    "OPTIONS:"});

// promptsource's style: `jinja` renders to "inputs ||| targets", `answer_choices` (may be empty) to
// the choices with ||| between them. The template sees the raw fields (a ||| within them does not
// split), answer_choices and metadata.split. Sides are stripped; an empty one, or another number of
// sides, means that the template does not apply. Throws InvalidConfig where it cannot be read.
std::shared_ptr<const Prompt> make_jinja_prompt(const TemplateParts& parts,
                                                const std::string& where, const std::string& jinja,
                                                const std::string& answer_choices);

}  // namespace flanmoe::data
