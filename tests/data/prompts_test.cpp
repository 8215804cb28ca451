#include "data/prompts/prompts.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "base/file.h"
#include "data/prompts/few_shot.h"
#include "support/temporary_folder.h"

namespace flanmoe::data {
namespace {

const RandomKey kKey(1, RandomPurpose::Template);

constexpr std::string_view kFlan = R"json({
  "patterns": {
    "nli": [
      {"inputs": "{premise}\n\nDoes it follow that {hypothesis}?\n{options_}", "targets": "{answer}"},
      {"inputs": "{premise} So {hypothesis}?", "targets": "It is {answer}."},
      {"inputs": "Write a premise for: {hypothesis} ({answer})",
                           "targets" : "{premise}"
}
    ],
    "translate": [
      {"inputs": "To German: {en}", "targets": "{de}"},
      {"inputs": "In German, please: {en}", "targets": "{de}"},
      {"inputs": "To English: {de}", "targets": "{en}"}
    ],
    "cot": [{"inputs": "{question}", "targets": "{chain_of_thought} The answer is {answer}."}]
    }
    , "aliases" : {"entailment" : "nli"},
                  "patterns_branched"
        : {"nli" : [ {"inputs" : "{premise} {hypothesis}", "targets" : "{answer}"} ]},
          "option_start_strings" : [ "", "OPTIONS:", "Pick from:" ]
    })json";

Example make_example() {
  Example example;
  example.inputs = "default inputs";
  example.targets = "yes";
  example.choices = {"yes", "no"};
  example.answer_index = 0;
  example.references = {"yes", "yeah"};
  example.rationale = "Because.";
  example.split = "train";
  example.where = "data.jsonl:7";
  example.fields = {
      {"premise", "It rains."}, {"hypothesis", "it is wet"}, {"question", "Wet?"}, {"label", 0}};
  return example;
}

class PromptsTest : public testing::Test {
 protected:
  std::string write(const std::string& name, std::string_view content) {
    const std::string path = folder_.path() + "/" + name;
    write_file_atomically(path, content);
    return path;
  }
  TemporaryFolder folder_;
};

template <class Action>
Error failure(Action action) {
  try {
    action();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorCode::Internal, "none");
}

TEST_F(PromptsTest, FlanPatterns) {
  const std::string path = write("flan.json", kFlan);
  EXPECT_EQ(
      list_prompt_tasks(path),
      (std::vector<std::string>{"nli", "translate", "cot", "patterns_branched/nli", "entailment"}));
  const Prompts prompts = open_prompts(path, "entailment");
  ASSERT_EQ(prompts.size(), 3u);
  EXPECT_EQ(prompts[0]->name(), "template_0");
  EXPECT_TRUE(prompts[0]->traits().shows_choices);
  EXPECT_FALSE(prompts[0]->traits().is_inverted);
  EXPECT_TRUE(prompts[2]->traits().is_inverted);

  const Example raw = make_example();
  const Example first = *prompts[0]->render(raw, kKey);
  EXPECT_EQ(first.targets, "yes");
  EXPECT_EQ(first.choices, raw.choices);
  EXPECT_EQ(first.answer_index, 0);
  EXPECT_EQ(first.references, raw.references);
  EXPECT_EQ(first.template_name, "template_0");
  const Example second = *prompts[1]->render(raw, kKey);
  EXPECT_EQ(second.inputs, "It rains. So it is wet?");
  EXPECT_EQ(second.targets, "It is yes.");
  EXPECT_TRUE(second.choices.empty());
  EXPECT_EQ(second.answer_index, -1);
  EXPECT_TRUE(second.references.empty());
  const Example inverted = *prompts[2]->render(raw, kKey);
  EXPECT_EQ(inverted.inputs, "Write a premise for: it is wet (yes)");
  EXPECT_EQ(inverted.targets, "It rains.");
}

TEST_F(PromptsTest, OptionHeadingsAreDrawnByTheKey) {
  const Prompts prompts = open_prompts(write("flan.json", kFlan), "nli");
  const std::string question = "It rains.\n\nDoes it follow that it is wet?\n";
  std::set<std::string> seen;
  for (uint64_t i = 0; i < 100; ++i) {
    const std::string inputs = prompts[0]->render(make_example(), kKey.fold(i))->inputs;
    EXPECT_EQ(prompts[0]->render(make_example(), kKey.fold(i))->inputs, inputs);
    seen.insert(inputs);
  }
  EXPECT_EQ(seen,
            (std::set<std::string>{question + "- yes\n- no", question + "OPTIONS:\n- yes\n- no",
                                   question + "Pick from:\n- yes\n- no"}));
}

TEST_F(PromptsTest, InvertedIsToldByWhatMostTemplatesAskFor) {
  const Prompts prompts = open_prompts(write("flan.json", kFlan), "translate");
  EXPECT_FALSE(prompts[0]->traits().is_inverted);
  EXPECT_FALSE(prompts[1]->traits().is_inverted);
  EXPECT_TRUE(prompts[2]->traits().is_inverted);
  const Prompts cot = open_prompts(write("flan2.json", kFlan), "cot");
  EXPECT_TRUE(cot[0]->traits().has_rationale);
  EXPECT_EQ(cot[0]->render(make_example(), kKey)->targets, "Because. The answer is yes.");
}

TEST_F(PromptsTest, FieldsGoBeforeWhatEveryExampleHas) {
  Example raw = make_example();
  raw.fields["answer"] = "perhaps";
  const Prompts prompts = open_prompts(write("flan.json", kFlan), "nli");
  EXPECT_EQ(prompts[1]->render(raw, kKey)->targets, "It is perhaps.");
}

TEST_F(PromptsTest, FewShotLayouts) {
  const std::string path = write("fewshot.json", R"({
    "defaults": {"inputs_prefix": "", "targets_prefix": "", "x_y_delimiter": "\n\n", "example_separator": "\n\n\n",
                 "final_suffix": "", "input_pattern": "{{inputs}}{final_suffix}"},
    "patterns": {"qa": [
      {"inputs_prefix": "Q: ", "targets_prefix": "A: ", "x_y_delimiter": "\n", "in_template_mix": false,
       "inputs": "{question}", "targets": "{answer}"},
      {"inputs": "{question}", "targets": "{answer}", "input_pattern": "{{premise}}\n{{inputs}}{final_suffix}",
       "final_suffix": "!"}]}})");
  const Prompts prompts = open_prompts(path, "qa");
  EXPECT_FALSE(prompts[0]->traits().is_for_mixing);
  EXPECT_TRUE(prompts[1]->traits().is_for_mixing);
  Example exemplar = make_example();
  exemplar.fields["question"] = "Dry?";
  const Example shot = *prompts[0]->render(exemplar, kKey),
                query = *prompts[0]->render(make_example(), kKey);
  EXPECT_EQ(compose_few_shot(prompts[0]->few_shot_layout(), {&shot, &shot}, query),
            "Q: Dry?\nA: yes\n\n\nQ: Dry?\nA: yes\n\n\nQ: Wet?\nA:");
  EXPECT_EQ(compose_few_shot(prompts[1]->few_shot_layout(), {&shot}, query),
            "It rains.\nDry?\n\nyes\n\n\nWet?\n\n!");
  EXPECT_EQ(compose_few_shot({}, {}, query), "Wet?\n\n");
}

TEST_F(PromptsTest, FlanErrorsAreNamed) {
  const std::string path = write("flan.json", kFlan);
  EXPECT_NE(std::string(failure([&] { open_prompts(path, "entailmnt"); }).what())
                .find("did you mean 'entailment'?"),
            std::string::npos);
  Example raw = make_example();
  raw.fields.erase("hypothesis");
  raw.fields["hypotesis"] = "x";
  const Error error = failure([&] { open_prompts(path, "nli")[0]->render(raw, kKey); });
  EXPECT_EQ(error.code(), ErrorCode::NotFound);
  EXPECT_EQ(std::string(error.what()),
            path +
                ": nli 'template_0', inputs, line 3: no field 'hypothesis', did you mean "
                "'hypotesis'? "
                "(there are: premise, question, label, hypotesis) for data.jsonl:7");
  const std::string wrong =
      write("wrong.json", R"({"patterns": {"a": [{"inputs": "{x}", "target": "y"}]}})");
  EXPECT_NE(std::string(failure([&] { open_prompts(wrong, "a"); }).what())
                .find("a 'template_0': unknown key 'target' (did you mean 'targets'?)"),
            std::string::npos);
  const std::string open =
      write("open.json", R"({"patterns": {"a": [{"inputs": "{x", "targets": "y"}]}})");
  EXPECT_EQ(failure([&] { open_prompts(open, "a"); }).code(), ErrorCode::InvalidConfig);
  const std::string other = write("other.json", R"({"x": 1})");
  EXPECT_EQ(failure([&] { open_prompts(other, "a"); }).code(), ErrorCode::InvalidConfig);
  EXPECT_EQ(failure([&] { open_prompts(folder_.path() + "/none.json", "a"); }).code(),
            ErrorCode::NotFound);
}

constexpr std::string_view kYaml = R"(dataset: weather
subset: daily
templates:
  2f-1: !Template
    answer_choices: wet ||| dry
    id: 2f-1
    jinja: '{% if metadata.split != "test" %}

      {{premise}} Is it {{answer_choices | join(" or ")}}?

      |||

      {{ answer_choices[label] }}

      {% endif %}'
    metadata: !TemplateMetadata
      choices_in_prompt: true
      languages:
      - en
      metrics:
      - Accuracy
      original_task: true
    name: wet or dry
    reference: ''
  3a-2: !Template
    answer_choices: null
    id: 3a-2
    jinja: "Say what follows from {{premise}} ||| {{hypothesis}}"
    metadata: !TemplateMetadata
      choices_in_prompt: false
      original_task: false
    name: say
    reference: ''
)";

void expect_weather(const Prompts& prompts) {
  ASSERT_EQ(prompts.size(), 2u);
  EXPECT_EQ(prompts[0]->name(), "wet or dry");
  EXPECT_TRUE(prompts[0]->traits().shows_choices);
  EXPECT_TRUE(prompts[0]->traits().is_original_task);
  EXPECT_FALSE(prompts[1]->traits().is_original_task);
  Example raw = make_example();
  const Example rendered = *prompts[0]->render(raw, kKey);
  EXPECT_EQ(rendered.inputs, "It rains. Is it wet or dry?");
  EXPECT_EQ(rendered.targets, "wet");
  EXPECT_EQ(rendered.choices, (std::vector<std::string>{"wet", "dry"}));
  EXPECT_EQ(rendered.answer_index, 0);
  EXPECT_EQ(rendered.template_name, "wet or dry");
  raw.split = "test";
  EXPECT_FALSE(prompts[0]->render(raw, kKey));
  raw.fields["premise"] = "a ||| b|c";
  EXPECT_EQ(prompts[1]->render(raw, kKey)->inputs, "Say what follows from a ||| b|c");
  EXPECT_TRUE(prompts[1]->render(raw, kKey)->choices.empty());
  raw.fields["hypothesis"] = " \n";
  EXPECT_FALSE(prompts[1]->render(raw, kKey));
}

TEST_F(PromptsTest, PromptsourceAsPublished) {
  make_folders(folder_.path() + "/set/weather");
  const std::string path = write("set/weather/templates.yaml", kYaml);
  expect_weather(open_prompts(path, "weather/daily"));
  expect_weather(open_prompts(folder_.path() + "/set", "weather"));
  expect_weather(open_prompts(folder_.path() + "/set", "weather_daily"));
  EXPECT_EQ(list_prompt_tasks(folder_.path() + "/set"), std::vector<std::string>{"weather/daily"});
}

TEST_F(PromptsTest, PromptsourceAsJson) {
  const std::string path = write("prompts.json", R"({"datasets": {"weather/daily": {"templates": [
    {"name": "wet or dry", "jinja": "{% if metadata.split != \"test\" %}{{premise}} Is it {{answer_choices | join(\" or \")}}? ||| {{ answer_choices[label] }}{% endif %}",
     "answer_choices": "wet ||| dry", "original_task": true, "choices_in_prompt": true},
    {"name": "say", "jinja": "Say what follows from {{premise}} ||| {{hypothesis}}", "answer_choices": null,
     "original_task": false, "choices_in_prompt": false}]},
    "weather/hourly": {"templates": []}}})");
  expect_weather(open_prompts(path, "weather/daily"));
  const std::string several = failure([&] { open_prompts(path, "weather"); }).what();
  EXPECT_NE(several.find("weather/daily, weather/hourly"), std::string::npos) << several;
}

TEST_F(PromptsTest, PromptsourceErrorsAreNamed) {
  const std::string path = write("set.yaml", kYaml);
  Example raw = make_example();
  raw.fields.erase("premise");
  raw.fields["premises"] = "x";
  const Error error = failure([&] { open_prompts(path, "weather/daily")[0]->render(raw, kKey); });
  EXPECT_EQ(error.code(), ErrorCode::NotFound);
  const std::string message = error.what();
  EXPECT_NE(message.find("weather/daily 'wet or dry', line 2: no variable 'premise' (did you "
                         "mean 'premises'? there are: "
                         "hypothesis, question, label, premises"),
            std::string::npos)
      << message;
  EXPECT_NE(message.find("(data.jsonl:7)"), std::string::npos) << message;
  raw = make_example();
  raw.fields["answer_choices"] = "x";
  EXPECT_EQ(failure([&] { open_prompts(path, "weather/daily")[0]->render(raw, kKey); }).code(),
            ErrorCode::InvalidArgument);
  const std::string broken = write("broken.yaml", "dataset: x\ntemplates:\n  a: [1\n");
  EXPECT_EQ(failure([&] { list_prompt_tasks(broken); }).code(), ErrorCode::CorruptFile);
  const std::string nameless =
      write("nameless.yaml", "dataset: x\ntemplates:\n  a: !Template\n    jinja: y\n");
  EXPECT_NE(std::string(failure([&] { list_prompt_tasks(nameless); }).what())
                .find("nameless.yaml:3: 'name' is missing"),
            std::string::npos);
}

TEST_F(PromptsTest, TomlOfAUser) {
  const std::string path = write("mine.toml", R"(
[[templates]]
name = "plain one"
task = "nli"
inputs = "{premise} {hypothesis}?"
targets = "{answer}"
x_y_delimiter = "\n"

[[templates]]
name = "two sides"
kind = "jinja"
inputs = "{{ premise | upper }}"
targets = "{{ answer_choices[label] }}"
answer_choices = "wet ||| dry"

[[templates]]
jinja = "{{ question }} ||| {{ hypothesis }}"
)");
  EXPECT_EQ(list_prompt_tasks(path), std::vector<std::string>{"nli"});
  const Prompts prompts = open_prompts(path, "nli");
  ASSERT_EQ(prompts.size(), 3u);
  EXPECT_EQ(prompts[0]->few_shot_layout().x_y_delimiter, "\n");
  EXPECT_EQ(prompts[0]->render(make_example(), kKey)->inputs, "It rains. it is wet?");
  EXPECT_EQ(prompts[1]->render(make_example(), kKey)->inputs, "IT RAINS.");
  EXPECT_EQ(prompts[1]->render(make_example(), kKey)->targets, "wet");
  EXPECT_EQ(prompts[2]->name(), "template_2");
  EXPECT_EQ(prompts[2]->render(make_example(), kKey)->targets, "it is wet");
  EXPECT_EQ(open_prompts(path, "anything").size(), 2u);
}

TEST_F(PromptsTest, TomlErrorsAreNamed) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"[[templates]]\nname = 'a'\ninput = 'x'\n", "did you mean 'inputs'?"},
      {"[[templates]]\nname = 'a'\ninputs = 'x'\n",
       "expected 'inputs' and 'targets', or 'jinja' alone"},
      {"[[templates]]\nname = 'a'\njinja = 'x'\n", "'jinja' has no '|||'"},
      {"[[templates]]\nname = 'a'\nkind = 'jina'\ninputs = 'x'\ntargets = 'y'\n",
       "did you mean 'jinja'?"},
      {"[[templates]]\nname='a'\ninputs='x'\ntargets='y'\n[[templates]]\nname='a'\ninputs='x'"
       "\ntargets='y'\n",
       "the name is taken"},
      {"x = 1\n", "templates"}};
  for (const auto& [content, expected] : cases) {
    const std::string path = write("wrong.toml", content);
    const std::string message = failure([&] { open_prompts(path, "t"); }).what();
    EXPECT_NE(message.find(expected), std::string::npos) << message;
  }
}

TEST(PromptTest, TheIdentityLeavesAnExampleAsItIs) {
  const Example raw = make_example();
  const Example same = *make_identity_prompt()->render(raw, kKey);
  EXPECT_EQ(same.inputs, raw.inputs);
  EXPECT_EQ(same.targets, raw.targets);
  EXPECT_EQ(same.choices, raw.choices);
}

}  // namespace
}  // namespace flanmoe::data
