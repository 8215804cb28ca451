// From an example of a task to what the model reads: which template, how many exemplars, with or
// without the options, with or without a chain of thought.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "data/prompt.h"
#include "data/prompts/few_shot.h"
#include "data/prompts/prompts.h"
#include "data/source.h"
#include "text/tokenizer.h"

namespace flanmoe::data {

enum class ShownChoices { Any, Shown, Hidden };

}  // namespace flanmoe::data

template <>
struct flanmoe::EnumNames<flanmoe::data::ShownChoices> {
  static constexpr std::pair<data::ShownChoices, std::string_view> values[] = {
      {data::ShownChoices::Any, "any"},
      {data::ShownChoices::Shown, "shown"},
      {data::ShownChoices::Hidden, "hidden"}};
};

namespace flanmoe::data {

// One way to ask. FLAN 2022 mixes zero-shot and few-shot, with and without answer options, and
// chains of thought with and without exemplars (facts.md section 2).
struct FormConfig {
  double share = 1;       // of the task's examples, in any unit
  int64_t num_shots = 0;  // exemplars
  int64_t max_shots = 0;  // > num_shots: drawn uniformly from num_shots to max_shots
  ShownChoices choices = ShownChoices::Any;
  bool chain_of_thought = false;  // the target is the rationale and then the answer
  bool inverted = false;          // the answer is given and the question asked
  template <class Visitor>
  void visit(Visitor& v) {
    v("share", share, "share of the task's examples, in any unit");
    v("num_shots", num_shots, "exemplars before the input");
    v("max_shots", max_shots, "if larger, the number is drawn from num_shots to max_shots");
    v("choices", choices, "templates that show the answer options, that do not, or any");
    v("chain_of_thought", chain_of_thought, "the target is the rationale, then the answer");
    v("inverted", inverted, "the answer is given and the question asked");
  }
};
// "zero-shot", "few-shot, options hidden", "few-shot chain of thought", ...
std::string describe(const FormConfig& form);

struct PromptingConfig {
  std::string templates;  // file or folder; "": examples are taken as their source has them
  std::string few_shot_templates;               // "": those of `templates`, between exemplars
  int64_t max_templates = 0;                    // the first so many of a task; 0: all
  std::vector<std::string> excluded_templates;  // regular expressions on TASK/TEMPLATE
  std::vector<FormConfig> forms;                // none: zero-shot
  int64_t max_prompt_tokens = 1920;             // exemplars beyond are dropped from the front
  template <class Visitor>
  void visit(Visitor& v) {
    v("templates", templates, "templates to render with; empty: examples as they are");
    v("few_shot_templates", few_shot_templates, "templates of few-shot forms; empty: templates");
    v("max_templates", max_templates, "the first so many templates of a task; 0 takes all");
    v("excluded_templates", excluded_templates, "regular expressions on TASK/TEMPLATE");
    v("forms", forms, "ways to ask, with their shares");
    v("max_prompt_tokens", max_prompt_tokens,
      "longest prompt with exemplars; those beyond are dropped from the front");
  }
};

// One example as the model will see it, before tokenising.
struct PromptedExample {
  Example query;  // inputs and targets are those of the template
  std::vector<Example> exemplars;
  FewShotLayout layout;
  size_t form = 0;  // of PromptingConfig::forms

  std::vector<const Example*> exemplar_pointers() const;
};

struct PromptText {
  std::string inputs, targets;
  size_t num_exemplars = 0;          // kept
  size_t num_dropped_exemplars = 0;  // from the front, for length
};

class Prompter {
 public:
  // `templates_task`: the task's name in the files of templates; `files`: where they are read,
  // shared by the tasks of a mixture. Throws InvalidConfig, NotFound.
  Prompter(std::shared_ptr<const Source> source, const PromptingConfig& config,
           const std::string& templates_task, uint64_t seed,
           const std::shared_ptr<PromptFiles>& files = std::make_shared<PromptFiles>());

  // A pure function of (seed, task, index, epoch). In every epoch an example has the next of its
  // templates; exemplars are other examples of the source under the same template. A chain of
  // thought applies to examples with a rationale; where a form does not apply the next one is
  // taken. Nothing where no template applies. Throws NotFound where a template names a field that
  // is not there.
  std::optional<PromptedExample> render(uint64_t index, uint64_t epoch) const;
  // The same under one template and form, for looking at it.
  std::optional<PromptedExample> render_with(const std::string& template_name, size_t form,
                                             uint64_t index, uint64_t epoch) const;
  // The same templates under other forms.
  Prompter with_forms(const std::vector<FormConfig>& forms) const;
  // The form that is drawn for the example; render() takes the next one that applies.
  size_t form_of(uint64_t index, uint64_t epoch) const;
  // Where this is true, render() gives the source's own inputs and targets.
  bool is_identity() const;

  const std::vector<FormConfig>& forms() const { return forms_; }
  std::vector<std::string> template_names() const;
  // Read from files; 0 where examples are taken as they are.
  int64_t num_templates() const { return static_cast<int64_t>(prompts_.size()); }
  int64_t max_prompt_tokens() const { return max_prompt_tokens_; }

 private:
  void set_forms(const std::vector<FormConfig>& forms);
  std::optional<PromptedExample> render_one(const Prompt& prompt, size_t form, uint64_t index,
                                            uint64_t epoch) const;
  std::vector<Example> draw_exemplars(const Prompt& prompt, size_t form, const Example& query,
                                      uint64_t index, RandomKey key) const;

  std::shared_ptr<const Source> source_;
  Prompts prompts_, few_shot_prompts_;
  std::vector<FormConfig> forms_;
  std::vector<Prompts> candidates_;    // of every form
  std::vector<bool> needs_rationale_;  // of every form: its templates read the schema's rationale
  double total_share_ = 0;
  int64_t max_prompt_tokens_;
  RandomKey key_;
};

// With the exemplars that fit the prompter's limit.
PromptText to_text(const PromptedExample& example, const text::Tokenizer& tokenizer,
                   int64_t max_prompt_tokens);
// With all of them.
PromptText to_text(const PromptedExample& example);

}  // namespace flanmoe::data
