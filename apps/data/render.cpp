#include <optional>

#include "base/json.h"
#include "data/data.h"

namespace flanmoe::apps {

namespace {

struct State {
  DataSettings settings;
  std::string task, template_name, model;
  int64_t index = 0, epoch = 0;
  data::FormConfig form;
};

bool has_form(const data::FormConfig& form) {
  return form.num_shots > 0 || form.max_shots > 0 || form.chain_of_thought || form.inverted ||
         form.choices != data::ShownChoices::Any;
}

std::optional<data::PromptedExample> render(const State& state, const data::Prompter& prompter) {
  const auto index = static_cast<uint64_t>(state.index), epoch = static_cast<uint64_t>(state.epoch);
  if (state.template_name.empty()) return prompter.render(index, epoch);
  const size_t form = prompter.form_of(index, epoch);
  return prompter.render_with(state.template_name, form, index, epoch);
}

Json describe_side(const std::string& text, const std::optional<text::Tokenizer>& tokenizer) {
  if (!tokenizer) return {{"text", text + "</s>"}};
  const std::vector<int32_t> ids = tokenizer->encode_with_eos(text);
  return {{"text", tokenizer->decode(ids, false)}, {"ids", ids}};
}

std::string heading(const std::string& name, const Json& side) {
  return side.contains("ids") ? fmt::format("--- {} ({} tokens)\n", name, side["ids"].size())
                              : fmt::format("--- {}\n", name);
}

}  // namespace

Verb add_data_render(Options options) {
  auto state = std::make_shared<State>();
  options.positional("TASK", state->task, "name of the task");
  options.option("template", state->template_name,
                 "name of the template; empty: the one that the mixture takes");
  options.option("index", state->index, "number of the example");
  options.option("epoch", state->epoch, "an example has another template in every epoch");
  options.option("model", state->model,
                 "folder with a tokenizer: shows the text as the model reads it");
  options.option("num-shots", state->form.num_shots, "exemplars before the input");
  options.flag("chain-of-thought", state->form.chain_of_thought,
               "the target is the rationale, then the answer");
  options.flag("inverted", state->form.inverted, "the answer is given and the question asked");
  options.choice(
      "choices", enum_names<data::ShownChoices>(), "any",
      [state](const std::string& text) {
        state->form.choices = *parse_enum<data::ShownChoices>(text);
      },
      "templates that show the answer options, that do not, or any");
  state->settings.add_to(options);
  options.footer(
      "Example:\n  flanmoe data render odd_one_out --index 3 --num-shots 2\n  flanmoe data render "
      "rte --data my-mixture.toml --template template_4 --model flan-t5-small");
  return [state] {
    const data::Mixture mixture = state->settings.open();
    const data::MixtureTask& task = find_task(mixture, state->task);
    check_index(task, state->index);
    const data::Prompter prompter =
        has_form(state->form) ? task.prompter->with_forms({state->form}) : *task.prompter;
    const auto rendered = render(*state, prompter);
    if (!rendered)
      fail(ErrorCode::InvalidArgument, "[data] {} applies to example {} of task '{}'",
           state->template_name.empty() ? "no template" : "'" + state->template_name + "' does not",
           state->index, state->task);
    std::optional<text::Tokenizer> tokenizer;
    if (!state->model.empty()) tokenizer = text::Tokenizer::load(state->model);
    const data::PromptText text =
        tokenizer ? data::to_text(*rendered, *tokenizer, prompter.max_prompt_tokens())
                  : data::to_text(*rendered);
    const Json inputs = describe_side(text.inputs, tokenizer),
               targets = describe_side(text.targets, tokenizer);
    const std::string form = data::describe(prompter.forms().at(rendered->form));
    if (state->settings.is_json) {
      print_json({{"task", task.name()},
                  {"cluster", task.cluster()},
                  {"collection", task.collection},
                  {"template", rendered->query.template_name},
                  {"form", form},
                  {"num_exemplars", text.num_exemplars},
                  {"num_dropped_exemplars", text.num_dropped_exemplars},
                  {"inputs", inputs},
                  {"targets", targets},
                  {"choices", rendered->query.choices},
                  {"answer_index", rendered->query.answer_index}});
      return;
    }
    std::string report = fmt::format(
        "task      {} ({}, {})\ntemplate  {}\nform      {}{}\n", task.name(), task.cluster(),
        task.collection,
        rendered->query.template_name.empty() ? "as given" : rendered->query.template_name, form,
        text.num_dropped_exemplars > 0
            ? fmt::format("; {} exemplars did not fit", text.num_dropped_exemplars)
            : "");
    for (const auto& [name, side] : {std::pair{"inputs", inputs}, {"targets", targets}})
      report += heading(name, side) + side["text"].get<std::string>() + "\n";
    if (!rendered->query.choices.empty())
      report += fmt::format("--- choices\n{}\n", fmt::join(rendered->query.choices, "\n"));
    print(report);
  };
}

}  // namespace flanmoe::apps
