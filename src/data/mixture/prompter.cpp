#include "data/mixture/prompter.h"

#include <algorithm>

#include "base/error.h"
#include "base/nearest.h"
#include "data/mixture/name_patterns.h"

namespace flanmoe::data {
namespace {

// Examples of a source without an end, from which exemplars are drawn.
constexpr uint64_t kExemplarPool = 1u << 20;
// Exemplars that do not apply or repeat the query are passed over; so many tries for each.
constexpr uint64_t kTriesAShot = 8;

// How a rationale is asked for where the examples are taken as their source has them.
struct Wording {
  const char* inputs;
  const char* targets;
};
constexpr Wording kChainOfThought[] = {
    {"{inputs}\n\nThink it through step by step, then answer.",
     "{rationale} The answer is {targets}."},
    {"{inputs}\n\nExplain your reasoning before you give the answer.",
     "{rationale} So the answer is {targets}."},
    {"Reason first, answer last.\n\n{inputs}", "{rationale}\nAnswer: {targets}"},
    {"{inputs}\n\nHow do you get there, and what is the result?",
     "{rationale} Therefore the answer is {targets}."},
};
constexpr Wording kInverted[] = {
    {"The answer is: {targets}\n\nWhat was the question?", "{inputs}"},
    {"Write a question that has this answer: {targets}", "{inputs}"},
};
constexpr Wording kInvertedChainOfThought[] = {
    {"{rationale} The answer is {targets}.\n\nWhat was the question?", "{inputs}"},
    {"Write the question that this reasoning answers.\n\n{rationale} So the answer is {targets}.",
     "{inputs}"},
    {"Question: {inputs}\nAnswer: {targets}\n\nExplain how the answer follows.", "{rationale}"},
};

template <size_t N>
Prompts make_wordings(const Wording (&wordings)[N], const std::string& name,
                      const PromptTraits& traits) {
  Prompts prompts;
  for (size_t i = 0; i < N; ++i)
    prompts.push_back(make_plain_prompt({.name = fmt::format("{}_{}", name, i),
                                         .inputs = wordings[i].inputs,
                                         .targets = wordings[i].targets,
                                         .layout = {},
                                         .traits = traits},
                                        "data.prompter"));
  return prompts;
}

Prompts own_prompts(const FormConfig& form) {
  if (form.inverted && form.chain_of_thought)
    return make_wordings(kInvertedChainOfThought, "inverted_chain_of_thought",
                         {.is_original_task = false, .is_inverted = true, .has_rationale = true});
  if (form.inverted)
    return make_wordings(kInverted, "inverted", {.is_original_task = false, .is_inverted = true});
  if (form.chain_of_thought)
    return make_wordings(kChainOfThought, "chain_of_thought", {.has_rationale = true});
  return {make_identity_prompt()};
}

bool fits(const PromptTraits& traits, const FormConfig& form) {
  if (form.choices == ShownChoices::Shown && !traits.shows_choices) return false;
  if (form.choices == ShownChoices::Hidden && traits.shows_choices) return false;
  return traits.is_inverted == form.inverted && traits.has_rationale == form.chain_of_thought;
}

// Those that fit the form. Where none has or lacks the options, that wish is dropped; where none
// gives a rationale or inverts, our own wordings stand in.
Prompts choose_candidates(const Prompts& prompts, const FormConfig& form, bool& is_own) {
  is_own = false;
  FormConfig relaxed = form;
  for (int attempt = 0; attempt < 2; ++attempt) {
    Prompts found;
    for (const auto& prompt : prompts)
      if (fits(prompt->traits(), relaxed)) found.push_back(prompt);
    if (!found.empty()) return found;
    relaxed.choices = ShownChoices::Any;
  }
  is_own = true;
  return own_prompts(form);
}

Prompts load_prompts(PromptFiles& files, const std::string& path, const std::string& task,
                     const PromptingConfig& config) {
  Prompts prompts = files.open(path, task);
  // FLAN 2022 has its templates without option wording in a section of their own.
  const std::string branched = "patterns_branched/" + task;
  const std::vector<std::string> known = files.list_tasks(path);
  if (std::find(known.begin(), known.end(), branched) != known.end())
    for (auto& prompt : files.open(path, branched)) prompts.push_back(std::move(prompt));
  const NamePatterns excluded(config.excluded_templates, "excluded_templates");
  std::erase_if(prompts,
                [&](const auto& prompt) { return excluded.find_in(task + "/" + prompt->name()); });
  if (config.max_templates > 0 && static_cast<int64_t>(prompts.size()) > config.max_templates)
    prompts.resize(static_cast<size_t>(config.max_templates));
  return prompts;
}

void check(const FormConfig& form) {
  if (!(form.share >= 0))
    fail(ErrorCode::InvalidConfig, "[data] forms: share is {}, expected 0 or more", form.share);
  if (form.num_shots < 0 || form.max_shots < 0)
    fail(ErrorCode::InvalidConfig,
         "[data] forms: num_shots is {} and max_shots {}, expected 0 or more", form.num_shots,
         form.max_shots);
}

}  // namespace

std::string describe(const FormConfig& form) {
  const int64_t most = std::max(form.num_shots, form.max_shots);
  std::string text = most == 0               ? "zero-shot"
                     : most > form.num_shots ? fmt::format("{}- to {}-shot", form.num_shots, most)
                                             : fmt::format("{}-shot", most);
  if (form.choices == ShownChoices::Shown) text += ", options shown";
  if (form.choices == ShownChoices::Hidden) text += ", options hidden";
  if (form.chain_of_thought) text += ", chain of thought";
  if (form.inverted) text += ", inverted";
  return text;
}

Prompter::Prompter(std::shared_ptr<const Source> source, const PromptingConfig& config,
                   const std::string& templates_task, uint64_t seed,
                   const std::shared_ptr<PromptFiles>& files)
    : source_(std::move(source)),
      max_prompt_tokens_(config.max_prompt_tokens),
      key_(RandomKey(seed, RandomPurpose::Template).fold(source_->task())) {
  if (!config.templates.empty())
    prompts_ = load_prompts(*files, config.templates, templates_task, config);
  few_shot_prompts_ = config.few_shot_templates.empty()
                          ? prompts_
                          : load_prompts(*files, config.few_shot_templates, templates_task, config);
  set_forms(config.forms);
}

void Prompter::set_forms(const std::vector<FormConfig>& forms) {
  forms_ = forms;
  if (forms_.empty()) forms_.emplace_back();
  candidates_.clear();
  needs_rationale_.clear();
  total_share_ = 0;
  for (const FormConfig& form : forms_) {
    check(form);
    total_share_ += form.share;
    const bool is_few_shot = std::max(form.num_shots, form.max_shots) > 0;
    bool is_own = false;
    candidates_.push_back(
        choose_candidates(is_few_shot ? few_shot_prompts_ : prompts_, form, is_own));
    needs_rationale_.push_back(is_own && form.chain_of_thought);
  }
  if (!(total_share_ > 0))
    fail(ErrorCode::InvalidConfig, "[data] forms: the shares add up to {}, expected more than 0",
         total_share_);
}

Prompter Prompter::with_forms(const std::vector<FormConfig>& forms) const {
  Prompter other = *this;
  other.set_forms(forms);
  return other;
}

bool Prompter::is_identity() const {
  return forms_.size() == 1 && prompts_.empty() && forms_[0].num_shots == 0 &&
         forms_[0].max_shots == 0 && !forms_[0].chain_of_thought && !forms_[0].inverted;
}

std::vector<std::string> Prompter::template_names() const {
  std::vector<std::string> names;
  for (const Prompts& candidates : candidates_)
    for (const auto& prompt : candidates)
      if (std::find(names.begin(), names.end(), prompt->name()) == names.end())
        names.push_back(prompt->name());
  return names;
}

std::vector<Example> Prompter::draw_exemplars(const Prompt& prompt, size_t form,
                                              const Example& query, uint64_t index,
                                              RandomKey key) const {
  RandomStream random(key.fold("shots"));
  const FormConfig& config = forms_[form];
  const int64_t most = std::max(config.num_shots, config.max_shots);
  const auto num_shots = static_cast<size_t>(random.between(config.num_shots, most));
  std::vector<Example> exemplars;
  if (num_shots == 0) return exemplars;
  const uint64_t pool =
      source_->size() < 0 ? kExemplarPool : static_cast<uint64_t>(source_->size());
  const Permutation order(pool, key.fold("exemplars"));
  const uint64_t num_tries = std::min<uint64_t>(pool, num_shots * kTriesAShot);
  for (uint64_t i = 0; i < num_tries && exemplars.size() < num_shots; ++i) {
    const uint64_t candidate = order(i);
    if (candidate == index) continue;
    const Example raw = source_->get(candidate);
    if (raw.split == "test" && query.split != "test") continue;
    if (needs_rationale_[form] && raw.rationale.empty()) continue;
    auto rendered = prompt.render(raw, key.fold("exemplar").fold(i));
    if (rendered && rendered->inputs != query.inputs) exemplars.push_back(std::move(*rendered));
  }
  return exemplars;
}

std::optional<PromptedExample> Prompter::render_one(const Prompt& prompt, size_t form,
                                                    uint64_t index, uint64_t epoch) const {
  const RandomKey key = key_.fold(index).fold(epoch);
  const Example raw = source_->get(index);
  if (needs_rationale_[form] && raw.rationale.empty()) return std::nullopt;
  std::optional<Example> query = prompt.render(raw, key.fold("render"));
  if (!query) return std::nullopt;
  PromptedExample result;
  result.exemplars = draw_exemplars(prompt, form, *query, index, key);
  result.query = std::move(*query);
  result.layout = prompt.few_shot_layout();
  result.form = form;
  return result;
}

size_t Prompter::form_of(uint64_t index, uint64_t epoch) const {
  double at = key_.fold("form").fold(epoch).uniform(index) * total_share_;
  size_t form = 0;
  while (form + 1 < forms_.size() && at >= forms_[form].share) at -= forms_[form++].share;
  return form;
}

std::optional<PromptedExample> Prompter::render(uint64_t index, uint64_t epoch) const {
  const size_t drawn = form_of(index, epoch);
  for (size_t f = 0; f < forms_.size(); ++f) {
    const size_t form = (drawn + f) % forms_.size();
    const Prompts& candidates = candidates_[form];
    const uint64_t first = key_.fold("template").below(candidates.size(), index) + epoch;
    for (uint64_t i = 0; i < candidates.size(); ++i)
      if (auto result =
              render_one(*candidates[(first + i) % candidates.size()], form, index, epoch))
        return result;
  }
  return std::nullopt;
}

std::optional<PromptedExample> Prompter::render_with(const std::string& template_name, size_t form,
                                                     uint64_t index, uint64_t epoch) const {
  const Prompts& candidates = candidates_.at(form);
  std::vector<std::string> names;
  for (const auto& prompt : candidates) {
    if (prompt->name() == template_name) return render_one(*prompt, form, index, epoch);
    names.push_back(prompt->name());
  }
  fail(ErrorCode::NotFound, "[data] task '{}' has no template '{}'{}", source_->task(),
       template_name, suggestion(template_name, names));
}

std::vector<const Example*> PromptedExample::exemplar_pointers() const {
  std::vector<const Example*> pointers;
  for (const Example& exemplar : exemplars) pointers.push_back(&exemplar);
  return pointers;
}

PromptText to_text(const PromptedExample& example, const text::Tokenizer& tokenizer,
                   int64_t max_prompt_tokens) {
  if (example.exemplars.empty()) return {example.query.inputs, example.query.targets, 0, 0};
  const auto exemplars = example.exemplar_pointers();
  const size_t first =
      prune_exemplars(tokenizer, example.layout, exemplars, example.query, max_prompt_tokens);
  return {compose_few_shot(example.layout, exemplars, example.query, first), example.query.targets,
          exemplars.size() - first, first};
}

PromptText to_text(const PromptedExample& example) {
  if (example.exemplars.empty()) return {example.query.inputs, example.query.targets, 0, 0};
  return {compose_few_shot(example.layout, example.exemplar_pointers(), example.query),
          example.query.targets, example.exemplars.size(), 0};
}

}  // namespace flanmoe::data
