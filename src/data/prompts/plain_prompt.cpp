#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/json.h"
#include "base/nearest.h"
#include "data/prompts/prompts.h"
#include "text/template.h"

namespace flanmoe::data {
namespace {

constexpr std::array<std::string_view, 4> kAnswerNames = {"answer", "target", "targets", "output"};
constexpr std::array<std::string_view, 2> kInputNames = {"inputs", "input"};
constexpr std::array<std::string_view, 4> kRationaleNames = {"chain_of_thought", "cot", "rationale",
                                                             "explanation"};
constexpr std::array<std::string_view, 2> kOptionNames = {"options_", "options_str"};

template <size_t n>
bool is_one_of(const std::array<std::string_view, n>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

template <size_t n>
bool has_one_of(const std::array<std::string_view, n>& names, const text::Template& source) {
  const auto& fields = source.field_names();
  return std::any_of(fields.begin(), fields.end(),
                     [&](const std::string& field) { return is_one_of(names, field); });
}

std::string answer_of(const Example& raw) {
  const bool is_a_choice =
      raw.answer_index >= 0 && raw.answer_index < static_cast<int64_t>(raw.choices.size());
  return is_a_choice ? raw.choices[static_cast<size_t>(raw.answer_index)] : raw.targets;
}

class PlainPrompt : public Prompt {
 public:
  PlainPrompt(const TemplateParts& parts, const std::string& where,
              std::vector<std::string> option_headings)
      : name_(parts.name),
        where_(where),
        traits_(parts.traits),
        layout_(parts.layout),
        option_headings_(std::move(option_headings)),
        inputs_(parts.inputs, where + ", inputs"),
        targets_(parts.targets, where + ", targets") {
    traits_.shows_choices |= has_one_of(kOptionNames, inputs_);
    traits_.has_rationale |= has_one_of(kRationaleNames, targets_);
  }

  const std::string& name() const override { return name_; }
  const PromptTraits& traits() const override { return traits_; }
  const FewShotLayout& few_shot_layout() const override { return layout_; }

  std::optional<Example> render(const Example& raw, RandomKey key) const override {
    Example example = raw;
    example.inputs = render_side(inputs_, "inputs", raw, key);
    example.targets = render_side(targets_, "targets", raw, key);
    example.template_name = name_;
    const auto found = std::find(raw.choices.begin(), raw.choices.end(), example.targets);
    if (found == raw.choices.end()) {
      example.choices.clear();
      example.answer_index = -1;
    } else {
      example.answer_index = found - raw.choices.begin();
    }
    // what else counts as right does so for the answer alone, not for a question or a sentence
    if (example.targets != raw.targets) example.references.clear();
    return example;
  }

 private:
  std::string render_side(const text::Template& source, std::string_view side, const Example& raw,
                          RandomKey key) const {
    return source.render(
        [&](const std::string& name) -> std::optional<std::string> {
          auto text = find(name, raw, key);
          if (!text) fail_missing(source, side, name, raw);
          return text;
        },
        [] { return std::vector<std::string>(); });
  }

  std::optional<std::string> find(const std::string& name, const Example& raw,
                                  RandomKey key) const {
    if (raw.fields.contains(name)) return field_text(raw.fields[name]);
    if (is_one_of(kOptionNames, name)) return option_list(raw, key);
    if (is_one_of(kAnswerNames, name)) return answer_of(raw);
    if (is_one_of(kInputNames, name)) return raw.inputs;
    if (is_one_of(kRationaleNames, name) && !raw.rationale.empty()) return raw.rationale;
    return std::nullopt;
  }

  // "OPTIONS:\n- a\n- b" (format_options of FLAN); an empty heading leaves the items alone.
  std::optional<std::string> option_list(const Example& raw, RandomKey key) const {
    std::vector<std::string> options = raw.choices;
    if (options.empty() && raw.fields.contains("options") && raw.fields["options"].is_array())
      for (const Json& option : raw.fields["options"]) options.push_back(field_text(option));
    if (options.empty()) return std::nullopt;
    std::string text = option_headings_[key.fold("options").below(option_headings_.size(), 0)];
    for (const std::string& option : options) text += (text.empty() ? "- " : "\n- ") + option;
    return text;
  }

  [[noreturn]] void fail_missing(const text::Template& source, std::string_view side,
                                 const std::string& name, const Example& raw) const {
    std::vector<std::string> known;
    std::string fields;
    for (const auto& [field, value] : raw.fields.items()) {
      known.push_back(field);
      fields += (fields.empty() ? "" : ", ") + field;
    }
    for (const std::string_view standard :
         {"inputs", "targets", "answer", "options_", "chain_of_thought"})
      if (find(std::string(standard), raw, RandomKey(0, RandomPurpose::Template)))
        known.emplace_back(standard);
    const size_t at = source.source().find("{" + name + "}");
    const auto line = 1 + std::count(source.source().begin(),
                                     source.source().begin() + static_cast<ptrdiff_t>(std::min(
                                                                   at, source.source().size())),
                                     '\n');
    const std::string nearest = nearest_name(name, known);
    fail(ErrorCode::NotFound, "{}, {}, line {}: no field '{}'{} ({}){}", where_, side, line, name,
         nearest.empty() ? "" : ", did you mean '" + nearest + "'?",
         fields.empty() ? "the example has no fields" : "there are: " + fields,
         raw.where.empty() ? "" : " for " + raw.where);
  }

  std::string name_, where_;
  PromptTraits traits_;
  FewShotLayout layout_;
  std::vector<std::string> option_headings_;
  text::Template inputs_, targets_;
};

class IdentityPrompt : public Prompt {
 public:
  const std::string& name() const override { return name_; }
  const PromptTraits& traits() const override { return traits_; }
  const FewShotLayout& few_shot_layout() const override { return layout_; }
  std::optional<Example> render(const Example& raw, RandomKey) const override { return raw; }

 private:
  std::string name_ = "identity";
  PromptTraits traits_;
  FewShotLayout layout_;
};

}  // namespace

std::shared_ptr<const Prompt> make_plain_prompt(const TemplateParts& parts,
                                                const std::string& where,
                                                const std::vector<std::string>& option_headings) {
  FLANMOE_ASSERT(!option_headings.empty());
  return std::make_shared<PlainPrompt>(parts, where, option_headings);
}

std::shared_ptr<const Prompt> make_identity_prompt() {
  return std::make_shared<IdentityPrompt>();
}

}  // namespace flanmoe::data
