#include "data/mixture/prompter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "data/mixture/counted_source.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace flanmoe::data {
namespace {

class SolvedSource : public CountedSource {
 public:
  using CountedSource::CountedSource;
  Example get(uint64_t index) const override {
    Example example = CountedSource::get(index);
    if (index % 2 == 0) example.rationale = "because of " + example.id;
    example.fields["number"] = index;
    return example;
  }
};

std::shared_ptr<const Source> make_source(int64_t size = 50) {
  return std::make_shared<SolvedSource>("solved", size);
}

FormConfig make_form(double share, int64_t num_shots, bool chain_of_thought = false,
                     bool inverted = false) {
  FormConfig form;
  form.share = share;
  form.num_shots = num_shots;
  form.chain_of_thought = chain_of_thought;
  form.inverted = inverted;
  return form;
}

TEST(Prompter, WithoutTemplatesExamplesAreAsTheirSourceHasThem) {
  const Prompter prompter(make_source(), {}, "solved", 1);
  EXPECT_TRUE(prompter.is_identity());
  const auto rendered = prompter.render(3, 0);
  ASSERT_TRUE(rendered);
  const PromptText text = to_text(*rendered);
  EXPECT_EQ(text.inputs, "question 3");
  EXPECT_EQ(text.targets, "answer 3");
  EXPECT_EQ(text.num_exemplars, 0u);
}

TEST(Prompter, ExemplarsAreOthersOfTheTaskAndNeverTheExampleItself) {
  PromptingConfig config;
  config.forms = {make_form(1, 4)};
  const Prompter prompter(make_source(6), config, "solved", 1);
  std::set<std::string> orders;
  for (uint64_t index = 0; index < 6; ++index)
    for (uint64_t epoch = 0; epoch < 20; ++epoch) {
      const auto rendered = prompter.render(index, epoch);
      ASSERT_TRUE(rendered);
      ASSERT_EQ(rendered->exemplars.size(), 4u);
      std::set<std::string> ids = {rendered->query.id};
      std::string order;
      for (const Example& exemplar : rendered->exemplars) {
        EXPECT_TRUE(ids.insert(exemplar.id).second) << exemplar.id;
        order += exemplar.id;
      }
      orders.insert(order);
      const std::string text = to_text(*rendered).inputs;
      EXPECT_EQ(text, to_text(*prompter.render(index, epoch)).inputs);
      EXPECT_TRUE(text.ends_with("question " + std::to_string(index) + "\n\n"));
      for (const Example& exemplar : rendered->exemplars)
        EXPECT_CONTAINS(text, exemplar.inputs + "\n\n" + exemplar.targets + "\n\n\n");
    }
  EXPECT_GT(orders.size(), 60u);
}

TEST(Prompter, TooFewOthersGiveFewerExemplars) {
  PromptingConfig config;
  config.forms = {make_form(1, 5)};
  EXPECT_EQ(Prompter(make_source(3), config, "solved", 1).render(0, 0)->exemplars.size(), 2u);
}

TEST(Prompter, ChainsOfThoughtNeedARationale) {
  PromptingConfig config;
  config.forms = {make_form(1, 2, true), make_form(0, 0)};
  const Prompter prompter(make_source(), config, "solved", 1);
  const auto solved = prompter.render(4, 0);
  EXPECT_EQ(solved->form, 0u);
  EXPECT_CONTAINS(to_text(*solved).targets, "because of 4");
  EXPECT_CONTAINS(to_text(*solved).targets, "answer 4");
  for (const Example& exemplar : solved->exemplars) EXPECT_FALSE(exemplar.rationale.empty());
  EXPECT_EQ(prompter.render(5, 0)->form, 1u);  // the next form that applies
  EXPECT_EQ(to_text(*prompter.render(5, 0)).targets, "answer 5");
}

TEST(Prompter, InversionGivesTheAnswerAndAsksTheQuestion) {
  PromptingConfig config;
  config.forms = {make_form(1, 0, false, true)};
  const PromptText text = to_text(*Prompter(make_source(), config, "solved", 1).render(8, 0));
  EXPECT_CONTAINS(text.inputs, "answer 8");
  EXPECT_EQ(text.inputs.find("question 8"), std::string::npos);
  EXPECT_EQ(text.targets, "question 8");
}

TEST(Prompter, FormsKeepTheirShares) {
  PromptingConfig config;
  config.forms = {make_form(3, 0), make_form(1, 2)};
  const Prompter prompter(make_source(-1), config, "solved", 1);
  int num_few_shot = 0;
  constexpr int kExamples = 4000;
  for (uint64_t i = 0; i < kExamples; ++i)
    num_few_shot += !prompter.render(i, 0)->exemplars.empty();
  EXPECT_NEAR(num_few_shot, kExamples / 4, 5 * std::sqrt(kExamples * 0.25 * 0.75));
}

TEST(Prompter, EveryEpochHasTheNextTemplate) {
  const TemporaryFolder folder;
  put_file(folder / "t.toml", R"(
[[templates]]
name = "one"
inputs = "1 {inputs} {number}"
targets = "{targets}"
[[templates]]
name = "two"
inputs = "2 {inputs}"
targets = "{targets}"
[[templates]]
name = "three"
inputs = "3 {inputs}"
targets = "{targets}"
)");
  PromptingConfig config;
  config.templates = folder / "t.toml";
  const Prompter prompter(make_source(), config, "solved", 1);
  EXPECT_EQ(prompter.num_templates(), 3);
  std::map<std::string, int> first;
  for (uint64_t index = 0; index < 50; ++index) {
    std::set<std::string> seen;
    for (uint64_t epoch = 0; epoch < 3; ++epoch)
      seen.insert(prompter.render(index, epoch)->query.template_name);
    EXPECT_EQ(seen.size(), 3u);
    ++first[prompter.render(index, 0)->query.template_name];
  }
  EXPECT_EQ(first.size(), 3u);
  config.excluded_templates = {"^solved/t"};
  EXPECT_EQ(Prompter(make_source(), config, "solved", 1).template_names(),
            std::vector<std::string>{"one"});
  EXPECT_CONTAINS(to_text(*Prompter(make_source(), config, "solved", 1).render(7, 0)).inputs,
                  "1 question 7 7");
  config.excluded_templates = {};
  config.max_templates = 2;
  EXPECT_EQ(Prompter(make_source(), config, "solved", 1).num_templates(), 2);
  expect_error(ErrorCode::NotFound, "did you mean 'two'",
               [&] { prompter.render_with("tow", 0, 0, 0); });
}

TEST(Prompter, WrongFormsAreRefused) {
  PromptingConfig config;
  config.forms = {make_form(0, 0)};
  expect_error(ErrorCode::InvalidConfig, "shares add up to 0",
               [&] { Prompter(make_source(), config, "solved", 1); });
  config.forms = {make_form(1, -2)};
  expect_error(ErrorCode::InvalidConfig, "num_shots is -2",
               [&] { Prompter(make_source(), config, "solved", 1); });
}

TEST(FewShot, ExemplarsThatDoNotFitAreDroppedFromTheFront) {
  const text::Tokenizer tokenizer = text::Tokenizer::from_model_bytes(text::train_sentencepiece(
      {"a b c d e f g h", "question answer 0 1 2 3 4 5 6 7 8 9"}, {.num_pieces = 32}));
  PromptingConfig config;
  config.forms = {make_form(1, 5)};
  const auto rendered = *Prompter(make_source(), config, "solved", 1).render(1, 0);
  const auto length_with = [&](size_t first) {
    const std::string text =
        compose_few_shot(rendered.layout, rendered.exemplar_pointers(), rendered.query, first);
    return static_cast<int64_t>(tokenizer.encode(text).size());
  };
  for (size_t first = 0; first <= 5; ++first) {
    EXPECT_EQ(to_text(rendered, tokenizer, length_with(first)).num_dropped_exemplars, first);
    EXPECT_EQ(to_text(rendered, tokenizer, length_with(first) - 1).num_dropped_exemplars,
              std::min<size_t>(5, first + 1));
  }
  EXPECT_TRUE(to_text(rendered, tokenizer, length_with(3))
                  .inputs.starts_with(rendered.exemplars[3].inputs));
}

}  // namespace
}  // namespace flanmoe::data
