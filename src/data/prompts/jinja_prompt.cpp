#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "data/prompts/prompts.h"
#include "text/jinja.h"
#include "text/jinja/unicode.h"

namespace flanmoe::data {
namespace {

constexpr std::string_view kSeparator = "|||";
// Stands for a ||| of the data while the result is split; promptsource has such a word too.
constexpr std::string_view kProtected = "3ed2dface8203c4c9dfb1a5dc58e41e0";

std::string replace(std::string text, std::string_view old, std::string_view replacement) {
  for (size_t at = text.find(old); at != std::string::npos;
       at = text.find(old, at + replacement.size()))
    text.replace(at, old.size(), replacement);
  return text;
}

std::vector<std::string> split_sides(const std::string& rendered) {
  std::vector<std::string> sides;
  for (size_t begin = 0; begin <= rendered.size();) {
    const size_t end = std::min(rendered.find(kSeparator, begin), rendered.size());
    const std::string side = replace(rendered.substr(begin, end - begin), kProtected, kSeparator);
    sides.emplace_back(text::jinja::strip(side));
    begin = end + kSeparator.size();
    if (end == rendered.size()) break;
  }
  return sides;
}

class JinjaPrompt : public Prompt {
 public:
  JinjaPrompt(const TemplateParts& parts, const std::string& where, const std::string& jinja,
              const std::string& answer_choices)
      : name_(parts.name), traits_(parts.traits), layout_(parts.layout), jinja_(jinja, where) {
    if (!answer_choices.empty())
      answer_choices_.emplace(answer_choices, where + ", answer_choices");
  }

  const std::string& name() const override { return name_; }
  const PromptTraits& traits() const override { return traits_; }
  const FewShotLayout& few_shot_layout() const override { return layout_; }

  std::optional<Example> render(const Example& raw, RandomKey key) const override {
    if (raw.fields.contains("answer_choices"))
      fail(ErrorCode::InvalidArgument,
           "{}: the field 'answer_choices' of the example{} stands in the way of the template's "
           "own; "
           "rename it",
           jinja_.where(), raw.where.empty() ? "" : " (" + raw.where + ")");
    Json variables = raw.fields;
    for (auto& [name, value] : variables.items())
      if (value.is_string() &&
          value.get_ref<const std::string&>().find(kSeparator) != std::string::npos)
        value = replace(value.get<std::string>(), kSeparator, kProtected);
    if (!variables.contains("metadata")) variables["metadata"] = {{"split", raw.split}};

    std::vector<std::string> choices;
    if (answer_choices_) {
      choices = split_sides(
          render_template(*answer_choices_, variables, key.fold("answer_choices"), raw));
      Json shown = Json::array();
      // the template sees them with every ||| in its own form, as promptsource's do
      for (const std::string& choice : choices) shown.push_back(choice);
      variables["answer_choices"] = std::move(shown);
    } else {
      variables["answer_choices"] = nullptr;
    }
    std::vector<std::string> sides = split_sides(render_template(jinja_, variables, key, raw));
    if (sides.size() != 2 || sides[0].empty() || sides[1].empty()) return std::nullopt;

    Example example = raw;
    example.inputs = std::move(sides[0]);
    example.targets = std::move(sides[1]);
    example.template_name = name_;
    const auto found = std::find(choices.begin(), choices.end(), example.targets);
    if (found == choices.end()) {
      example.choices.clear();
      example.answer_index = -1;
    } else {
      example.answer_index = found - choices.begin();
      example.choices = std::move(choices);
    }
    if (example.targets != raw.targets) example.references.clear();
    return example;
  }

 private:
  static std::string render_template(const text::JinjaTemplate& source, const Json& variables,
                                     RandomKey key, const Example& raw) {
    try {
      return source.render(variables, key, text::MissingVariable::Error);
    } catch (const Error& error) {
      if (raw.where.empty()) throw;
      throw Error(error.code(), std::string(error.what()) + " (" + raw.where + ")");
    }
  }

  std::string name_;
  PromptTraits traits_;
  FewShotLayout layout_;
  text::JinjaTemplate jinja_;
  std::optional<text::JinjaTemplate> answer_choices_;
};

}  // namespace

std::shared_ptr<const Prompt> make_jinja_prompt(const TemplateParts& parts,
                                                const std::string& where, const std::string& jinja,
                                                const std::string& answer_choices) {
  return std::make_shared<JinjaPrompt>(parts, where, jinja, answer_choices);
}

}  // namespace flanmoe::data
