// Templates from arbitrary bytes: an Error or a result, nothing else, and the same result twice.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "base/random.h"
#include "data/prompts/prompts.h"
#include "text/jinja.h"
#include "text/template.h"

namespace {

constexpr flanmoe::text::JinjaLimits kLimits{100'000, 4'000'000};

flanmoe::RandomKey key() {
  return {1, flanmoe::RandomPurpose::Template};
}

flanmoe::data::Example make_example() {
  flanmoe::data::Example example;
  example.inputs = "Is it?";
  example.targets = "yes";
  example.choices = {"yes", "no"};
  example.answer_index = 0;
  example.rationale = "because";
  example.fields = flanmoe::Json::parse(R"({
    "s": "Größe ||| ΣΑΣ 'q' \"d\"\n x", "e": "", "n": 7, "f": -2.5, "t": true, "none": null, "l": [3, 1, "b", 2.5, null],
    "d": {"a": 1, "items": [1], "é": "x"}, "r": [{"k": "x", "v": 2}, {"k": "Y", "v": 1}], "label": 1,
    "c": {"text": ["p", "q"], "label": ["A", "B"]}, "answerKey": "B"})");
  return example;
}

std::optional<std::string> render(const flanmoe::text::JinjaTemplate& source,
                                  const flanmoe::Json& variables,
                                  flanmoe::text::MissingVariable missing) {
  try {
    return source.render(variables, key(), missing, kLimits);
  } catch (const flanmoe::Error&) {
    return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const flanmoe::data::Example example = make_example();
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  try {
    flanmoe::text::Template(source).render({{"premise", "p"}, {"answer", "a"}});
  } catch (const flanmoe::Error&) {
  }
  try {
    flanmoe::data::make_plain_prompt({"name", std::string(source), "{answer}", {}, {}}, "where")
        ->render(example, key());
  } catch (const flanmoe::Error&) {
  }
  try {
    const flanmoe::text::JinjaTemplate jinja(source);
    const auto text = render(jinja, example.fields, flanmoe::text::MissingVariable::Empty);
    if (render(jinja, example.fields, flanmoe::text::MissingVariable::Empty) != text) std::abort();
    // being strict about missing variables fails more often and changes nothing else
    const auto strict = render(jinja, example.fields, flanmoe::text::MissingVariable::Error);
    if (strict && strict != text) std::abort();
  } catch (const flanmoe::Error&) {
  }
  return 0;
}
