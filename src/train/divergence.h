// A step whose loss or gradient is not finite: what is wrong with it, and how it is kept to be run
// again.
//
// OUT/divergence/step-N/ has what step N began with:
//   model/ or adapter/      what is trained, as in the stage's folder (trainer.h)
//   optimizer.safetensors   the optimizer's state
//   config.toml             the stage's train config
//   replay.json             step, optimizer_step, learning_rate, the batch's rows, and what was
//   found
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/batch.h"
#include "model/folder.h"
#include "train/config.h"
#include "train/metrics.h"
#include "train/optimizers/optimizer.h"
#include "train/trained_weights.h"

namespace flanmoe::train {

// Skipped steps in a row that end a run all the same.
constexpr int64_t kMaxSkippedInARow = 10;

// One step, to be run (again) on a model.
struct Replay {
  Config config;
  int64_t step = 0;            // the key of its noise
  int64_t optimizer_step = 0;  // updates with this one
  double learning_rate = 0;
  data::Batch batch;
};

struct Divergence {
  int64_t step = 0;
  double loss = 0;
  std::string bad_weight;      // first parameter with a value that is not finite; "": none
  std::string bad_activation;  // first place (nn::ActivationSink) where a pass is not finite
  std::string bad_gradient;    // first parameter with such a gradient, where the loss is finite
};

// Of a step whose gradients have been computed; the loss is looked into by a second forward pass.
Divergence diagnose(const model::Model& model, const nn::Parameters& trained, const Replay& replay,
                    double loss);
// "the loss is nan at step 7: parameter 'x' has a value that is not finite (example keys ...)".
std::string describe(const Divergence& divergence, const data::Batch& batch);

// Throws Io.
void save_replay(const std::string& folder, const TrainedWeights& weights, Optimizer& optimizer,
                 const Replay& replay, const Divergence& divergence);
// All but model and optimizer state. Throws NotFound, CorruptFile, InvalidConfig naming the file.
Replay load_replay(const std::string& folder);

struct GradientNorm {
  std::string parameter;
  double norm = 0;
};
struct ReplayResult {
  StepValues losses;
  std::vector<GradientNorm> gradients;  // of the trained parameters that have one
  Divergence divergence;                // empty names where the step is finite
};
// Runs forward and backward of the step on the model, which keeps its weights.
ReplayResult run_replay(const model::LoadedModel& loaded, const Replay& replay);

}  // namespace flanmoe::train
