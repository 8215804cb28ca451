#include "train/divergence.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>
#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "train/checkpoints/snapshot.h"
#include "train/gradients.h"
#include "train/model_input.h"
#include "train/parameter_sets.h"
#include "train/step.h"

namespace flanmoe::train {
namespace {

constexpr int64_t kFormat = 1;

std::string list_keys(const data::Batch& batch) {
  constexpr int64_t kMaxShown = 8;
  std::string text;
  int64_t num_shown = 0;
  for (const uint64_t key : batch.example_keys) {
    if (key == 0 && batch.max_segments > 1) continue;  // a row with fewer segments
    if (num_shown++ == kMaxShown) return text + ", ...";
    text += fmt::format("{}{:016x}", num_shown > 1 ? ", " : "", key);
  }
  return text;
}

class FiniteWatch final : public nn::ActivationSink {
 public:
  void record(const std::string& place, const at::Tensor& x_BLD) override {
    if (first_.empty() && !at::isfinite(x_BLD).all().item<bool>()) first_ = place;
  }
  const std::string& first() const { return first_; }

 private:
  std::string first_;
};

// "": every place is finite, so it is in the logits or the loss.
std::string find_bad_activation(const model::Model& model, const Replay& replay) {
  const at::NoGradGuard no_grad;
  FiniteWatch watch;
  nn::Context context = make_training_context(replay.config, replay.step);
  context.activation_sink = &watch;
  const model::ModelInput input = to_model_input(replay.batch, model.config(), model.device());
  const at::Tensor encoded = model.encode(input.input_ids_BL, input.encoder, context);
  model.decode(input.decoder_input_ids_BM, input.decoder, encoded, input.encoder, context);
  return watch.first();
}

}  // namespace

Divergence diagnose(const model::Model& model, const nn::Parameters& trained, const Replay& replay,
                    double loss) {
  Divergence divergence{.step = replay.step, .loss = loss};
  divergence.bad_weight = find_non_finite_value(model.parameters());
  if (divergence.bad_weight.empty()) divergence.bad_weight = find_non_finite_value(trained);
  if (std::isfinite(loss))
    divergence.bad_gradient = find_non_finite_gradient(trained);
  else
    divergence.bad_activation = find_bad_activation(model, replay);
  return divergence;
}

std::string describe(const Divergence& divergence, const data::Batch& batch) {
  std::string text;
  if (!divergence.bad_gradient.empty()) {
    text = fmt::format("the gradient of parameter '{}' is not finite at step {}",
                       divergence.bad_gradient, divergence.step);
  } else {
    text =
        fmt::format("the loss is {} at step {}: ", std::isnan(divergence.loss) ? "nan" : "infinite",
                    divergence.step);
    text += divergence.bad_weight.empty()
                ? "every parameter is finite"
                : "parameter '" + divergence.bad_weight + "' has a value that is not finite";
    text += divergence.bad_activation.empty()
                ? ", and so is every layer's output: it is in the logits"
                : ", the first output that is not is that of " + divergence.bad_activation;
  }
  return text + " (example keys " + list_keys(batch) + ")";
}

void save_replay(const std::string& path, const TrainedWeights& weights, Optimizer& optimizer,
                 const Replay& replay, const Divergence& divergence) {
  make_folders(path.substr(0, path.rfind('/')));
  AtomicFolder folder(path);
  make_folders(folder.path() + "/" + weights.folder_name());
  weights.write(folder.path() + "/" + weights.folder_name());
  checkpoint::save_safetensors(folder.path() + "/" + model::kOptimizerFile,
                               to_cpu(optimizer.state()));
  write_file_atomically(folder.path() + "/config.toml", to_toml(to_config_node(replay.config)));
  // not-a-number has no spelling in JSON
  const Json found{{"loss", fmt::format("{}", divergence.loss)},
                   {"bad_weight", divergence.bad_weight},
                   {"bad_activation", divergence.bad_activation},
                   {"bad_gradient", divergence.bad_gradient}};
  const Json json{{"format", kFormat},
                  {"step", replay.step},
                  {"optimizer_step", replay.optimizer_step},
                  {"learning_rate", replay.learning_rate},
                  {"found", found},
                  {"batch", data::to_json(replay.batch)}};
  write_file_atomically(folder.path() + "/replay.json", json.dump() + "\n");
  folder.commit();
}

Replay load_replay(const std::string& folder) {
  const std::string path = folder + "/replay.json";
  if (!is_file(path))
    fail(ErrorCode::NotFound, "[replay] no {}: expected the folder OUT/divergence/step-N of a run",
         path);
  const Json json = load_json(path);
  Replay replay;
  read_fields("[replay] " + path, [&] {
    if (json.at("format") != kFormat)
      fail(ErrorCode::Unsupported, "[replay] {} has format {}, expected {}", path,
           json.at("format").dump(), kFormat);
    replay.step = json.at("step");
    replay.optimizer_step = json.at("optimizer_step");
    replay.learning_rate = json.at("learning_rate");
    replay.batch = data::parse_batch(json.at("batch"), path);
  });
  parse_config(load_toml(folder + "/config.toml"), "", replay.config);
  return replay;
}

ReplayResult run_replay(const model::LoadedModel& loaded, const Replay& replay) {
  const model::Model& model = *loaded.model;
  const auto weights = make_trained_weights(loaded);
  const Selection selection(weights->parameters(), replay.config, weights->fixed());
  clear_gradients(weights->parameters());
  nn::Context context = make_training_context(replay.config, replay.step);
  ReplayResult result;
  result.losses = compute_gradients(model, replay.batch, replay.config, context);
  const double loss = result.losses.front().second;
  for (const nn::Parameter& parameter : selection.trained())
    if (parameter.tensor.grad().defined())
      result.gradients.push_back({parameter.name, compute_gradient_norm({parameter})});
  result.divergence = diagnose(model, selection.trained(), replay, loss);
  clear_gradients(weights->parameters());
  return result;
}

}  // namespace flanmoe::train
