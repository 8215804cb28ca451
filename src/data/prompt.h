// Prompts: templates that turn the raw fields of an example into what the model reads and writes.
// FLAN's and promptsource's files are read as published.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "data/example.h"

namespace flanmoe::data {

struct PromptTraits {
  bool shows_choices = false;    // the options stand in the input
  bool is_original_task = true;  // P3's flag; false: another question about the same data
  bool is_inverted = false;      // the answer is given and the question asked
  bool has_rationale = false;    // the target contains the chain of thought
  bool is_for_mixing = true;     // FLAN 2022's in_template_mix: may stand with others in one prompt
};

// How exemplars are put before the input (FLAN 2022, FEWSHOT_PATTERNS): for every exemplar
// inputs_prefix + inputs + x_y_delimiter + targets_prefix + targets + example_separator, then
// the query without its targets; compose_few_shot() in data/prompts/few_shot.h does it.
struct FewShotLayout {
  std::string inputs_prefix;
  std::string targets_prefix;
  std::string x_y_delimiter = "\n\n";
  std::string example_separator = "\n\n\n";
  std::string final_suffix;
  // A plain template around all of it: {inputs} is the prompt so far, other names are fields of the
  // query ("{Definition}\n\n{inputs}").
  std::string input_pattern = "{inputs}";
};

class Prompt {
 public:
  virtual ~Prompt() = default;
  // Unique within its set: P3's template name, or "template_0".
  virtual const std::string& name() const = 0;
  virtual const PromptTraits& traits() const = 0;
  virtual const FewShotLayout& few_shot_layout() const = 0;
  // `raw` with inputs, targets, choices, answer_index, references and template_name set; nothing
  // where the template does not apply to this example (P3: it renders to an empty side). Whatever
  // the template draws (an option heading, `choice`) is a function of `key`. Throws NotFound naming
  // template, line, and the fields that exist.
  virtual std::optional<Example> render(const Example& raw, RandomKey key) const = 0;
};

using Prompts = std::vector<std::shared_ptr<const Prompt>>;

// The example as its source has it: inputs and targets stay.
std::shared_ptr<const Prompt> make_identity_prompt();

}  // namespace flanmoe::data
