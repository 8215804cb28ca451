// The training loop: batches in, a trained model folder out, resumable at any step.
//
// The folder of a stage:
//   metrics.jsonl            one object a line: step, loss, cross_entropy, load_balance_loss,
//   z_loss (means over layers), learning_rate, gradient_norm,
//                            input_tokens, target_tokens, train_flops (cumulative), tokens_per_s,
//                            flops_per_s, and for sparse models experts: {layer: {load: [...],
//                            load_variation, entropy, fraction_dropped, fraction_unserved,
//                            mean_combine_weight}}. Wall-clock figures stand in keys ending in _s
//                            only.
//   checkpoint/              the newest checkpoint, replaced whole: model folder +
//   optimizer.safetensors + trainer.json (step, consumed counts, config hash, size of
//   metrics.jsonl) result.json              the Result, written at the end model/ the finished
//   model (a Hugging Face folder), written at the end; then checkpoint/ is removed
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "data/batch.h"
#include "model/folder.h"
#include "train/config.h"

namespace flanmoe::train {

struct Result {
  int64_t steps = 0;
  double train_flops = 0;
  int64_t num_input_tokens = 0;
  int64_t num_target_tokens = 0;
  double wall_s = 0;      // of this process's part
  double final_loss = 0;  // mean over the last logged window
  int64_t num_trained_parameters = 0;
};

struct Job {
  std::string out;       // the stage's folder
  bool resumes = false;  // continue from out/checkpoint where it is there; an out/model that is
                         // there already is an error unless resumed
  std::string label;     // for the progress bar
  // Example number `position` of the endless stream, tokenised: a pure function.
  std::function<data::TokenizedExample(uint64_t)> draw;
  std::string data_description;  // hashed into trainer.json: resuming with other data is an error
};

// With keeps_optimizer_state, model/ has the optimizer's state; with starts_from_optimizer_state,
// the optimizer goes on with that of `loaded.folder`, updates counted from there
// (optimizer_state.h).
//
// Trains `loaded.model` in place; frozen parameters (parameter_sets.h) take no memory beyond their
// own. On Ctrl-C: saves a checkpoint, then throws Error(Interrupted)
// that says how to resume. A non-finite loss or gradient throws Error(NonFinite) with step and
// parameter. A killed process resumes to the same bytes (CPU, same number of threads).
Result train(model::LoadedModel& loaded, const Config& config, const Job& job);

}  // namespace flanmoe::train
