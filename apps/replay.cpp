#include <algorithm>
#include <cmath>
#include <memory>

#include "base/json.h"
#include "common.h"
#include "model/folder.h"
#include "train/divergence.h"
#include "train/stochastic_rounding.h"
#include "verbs.h"

namespace flanmoe::apps {
namespace {

// Not-a-number has no spelling in JSON.
Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json(fmt::format("{}", value));
}

Json to_json(const train::ReplayResult& result, const train::Replay& replay) {
  Json losses = Json::object(), gradients = Json::object();
  for (const auto& [name, value] : result.losses) losses[name] = number(value);
  for (const train::GradientNorm& gradient : result.gradients)
    gradients[gradient.parameter] = number(gradient.norm);
  const train::Divergence& found = result.divergence;
  return {{"step", replay.step},
          {"learning_rate", replay.learning_rate},
          {"losses", losses},
          {"gradient_norms", gradients},
          {"bad_weight", found.bad_weight},
          {"bad_activation", found.bad_activation},
          {"bad_gradient", found.bad_gradient}};
}

std::string to_text(const train::ReplayResult& result, const train::Replay& replay) {
  std::string text = fmt::format("step {}, learning rate {:.4g}, {}\n", replay.step,
                                 replay.learning_rate, to_string(replay.config.precision));
  for (const auto& [name, value] : result.losses)
    text += fmt::format("{:<60} {:>14.6g}\n", name, std::isnan(value) ? std::abs(value) : value);
  if (!result.gradients.empty()) text += "gradient norm of\n";
  for (const train::GradientNorm& gradient : result.gradients)
    text += fmt::format("{:<60} {:>14.6g}\n", gradient.parameter, gradient.norm);
  const auto add = [&](const char* what, const std::string& name) {
    text += fmt::format("first {} that is not finite: {}\n", what, name.empty() ? "none" : name);
  };
  add("weight", result.divergence.bad_weight);
  add("layer output", result.divergence.bad_activation);
  add("gradient", result.divergence.bad_gradient);
  return text;
}

}  // namespace

Verb add_replay(Options options) {
  struct State {
    Common common;
    std::string folder, precision;
  };
  auto state = std::make_shared<State>();
  options.positional("DIR", state->folder, "OUT/divergence/step-N of a training run");
  options.choice(
      "precision", enum_names<train::Precision>(), "",
      [state](const std::string& text) { state->precision = text; },
      "of compute, in place of the run's: whether the step is finite in float32");
  state->common.add_machine_to(options);
  options.footer(
      "Runs forward and backward of that step on the weights that it began with; nothing is "
      "changed or written.\n\n"
      "Example:\n  flanmoe replay tuned/divergence/step-412 --precision float32");
  return [state] {
    state->common.apply();
    train::Replay replay = train::load_replay(state->folder);
    if (!state->precision.empty())
      replay.config.precision = *parse_enum<train::Precision>(state->precision);
    const std::string folder = train::find_trained_folder(state->folder);
    if (folder.empty())
      fail(ErrorCode::NotFound, "[replay] no model/ or adapter/ in '{}'", state->folder);
    const model::LoadedModel loaded = model::load_model(
        folder, train::find_parameter_dtype(replay.config, folder.ends_with("/adapter")),
        state->common.torch_device());
    const train::ReplayResult result = train::run_replay(loaded, replay);
    if (state->common.is_json)
      print_json(to_json(result, replay));
    else
      print(to_text(result, replay));
  };
}

}  // namespace flanmoe::apps
