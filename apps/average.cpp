#include <memory>

#include "base/memory.h"
#include "common.h"
#include "convert/average.h"
#include "verbs.h"

namespace flanmoe::apps {

Verb add_average(Options options) {
  struct State {
    Common common;
    std::vector<std::string> models;
    std::vector<double> weights;
    std::string out;
  };
  auto state = std::make_shared<State>();
  options.positionals("MODEL", state->models, "folders of checkpoints of one model");
  options.option("out", state->out, "folder to write", true);
  options.setter<std::vector<double>>(
      "weights", std::nullopt,
      [weights = &state->weights](const std::vector<double>& given) { *weights = given; },
      "one a model, commas between; equal if not given");
  state->common.add_to(options, false);
  options.footer(
      "Example:\n  flanmoe average step-1000/model step-2000/model --out averaged --weights 1,3\n\n"
      "The mean is taken in float64. The configs must be equal; the tokenizer is that of the first "
      "model.");
  return [state] {
    state->common.apply();
    convert::average_folders(state->models, state->out, state->weights,
                             state->common.scalar_type());
    if (state->common.is_json)
      print_json({{"out", state->out},
                  {"num_models", state->models.size()},
                  {"peak_memory_bytes", peak_memory_bytes()}});
    else
      print(fmt::format("{}: the mean of {} models\n", state->out, state->models.size()));
  };
}

}  // namespace flanmoe::apps
