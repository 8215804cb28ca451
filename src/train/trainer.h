// The training loop: batches in, a trained model folder out, resumable at any step.
//
// The folder of a stage:
//   metrics.jsonl            one object a line: step, loss, cross_entropy, load_balance_loss,
//                            z_loss (means over layers), learning_rate, gradient_norm, input_fill,
//                            target_fill and closing_fill (shares of the rows' room that real
//                            tokens take, data/packing.h); cumulative examples, input_tokens,
//                            target_tokens, cut_inputs, cut_targets, skipped_steps, train_flops;
//                            and for sparse models experts: {layer: {load: [...], load_variation,
//                            entropy, fraction_dropped, fraction_unserved, mean_combine_weight}}.
//                            What hangs on the clock and the machine stands in the object machine,
//                            all else is the same bytes: tokens_per_s, flops_per_s,
//                            matmul_flops_per_s (matmul_rate.h, measured once where a step has at
//                            least 1 GFLOP), fraction_of_matmul, data_wait_s (mean time a step
//                            waited for its batch), checkpoint_wait_s (time that training waited
//                            for checkpoints), peak_memory_bytes (of the stage so far), time_s
//                            (Unix time). An evaluation is a line of its own: {"step": n,
//                            "evaluation": {name: value}}
//   tensorboard/             an event file with the numbers of metrics.jsonl (sinks/metric_log.h)
//   checkpoints/step-.../    complete or absent: model/ (a Hugging Face folder; where an adapter is
//                            trained adapter/, and nothing of its base), optimizer.safetensors,
//                            trainer.json (step, consumed counts, where the data stands, config,
//                            size of metrics.jsonl, unfinished statistics) and checksums.xxh128 of
//                            them all; the newest keep_last, and those whose step is a multiple of
//                            keep_every
//   best/step-.../           the best evaluated model (or adapter), of the run and of each
//                            checkpoint that is kept: its folder with best.json and
//                            checksums.xxh128
//   divergence/step-N/       a step that was not finite (divergence.h)
//   result.json              the Result, written at the end
//   model/ or adapter/       the finished model (a Hugging Face folder) or adapter, written at the
//                            end; then best/ and all checkpoints but those of keep_every are
//                            removed
//   .lock                    while a process writes the folder (FolderLock)
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "data/batch.h"
#include "model/folder.h"
#include "train/config.h"
#include "train/monitor.h"

namespace flanmoe::train {

struct Result {
  int64_t steps = 0;
  double train_flops = 0;
  int64_t num_examples = 0;
  int64_t num_input_tokens = 0;
  int64_t num_target_tokens = 0;
  double wall_s = 0;      // of all processes of the run
  double final_loss = 0;  // mean over the last logged window
  int64_t num_trained_parameters = 0;
  int64_t num_skipped_steps = 0;
  std::string ended_by;           // steps, tokens, train_flops, wall_s or patience
  int64_t model_step = 0;         // the step whose model it is: with keeps_best the best one
  EvaluationValues evaluation;    // of that model; empty where there was none
  int64_t peak_memory_bytes = 0;  // resident, of this process since the stage began
};

struct Job {
  std::string out;       // the stage's folder
  bool resumes = false;  // continue from the newest whole one of out/checkpoints where there is
                         // one; a finished folder that is there already is an error unless resumed
  std::string label;     // for the progress bar
  // Example number `position` of the endless stream, tokenised: a pure function. Called from one
  // other thread, which makes batches ahead of the loop (data/prefetch.h); what it throws ends the
  // run when the loop gets to that batch.
  std::function<data::TokenizedExample(uint64_t)> draw;
  // Values of the model on validation data by name ("loss", "accuracy", ...), for
  // config.evaluate_every; larger is better, but for names that end in "loss". Given the model as
  // it stands after `step`; must not change it.
  std::function<EvaluationValues(int64_t step)> evaluate;
  std::function<void(int64_t step)> after_step;  // told of every step, before it may be saved
  std::string data_description;  // hashed into trainer.json: resuming with other data is an error
};

// Throws InvalidConfig naming the key below `path` ("train"), what was found and what is expected.
void validate(const Config& config, const std::string& path);

// With keeps_optimizer_state, the finished folder has the optimizer's state; with
// starts_from_optimizer_state, the optimizer goes on with that of `loaded.folder`, updates counted
// from there (optimizer_state.h).
//
// Trains `loaded.model` in place, or where it has an active adapter that adapter alone
// (trained_weights.h): then the model's own weights are frozen and may be of any dtype. Frozen
// parameters (parameter_sets.h) take no memory beyond their own. Checkpoints are written by a
// thread of their own from a copy of what is trained and of the optimizer's state
// (checkpoints/checkpoint_writer.h); one that could not be written throws Error(Io) at a later
// step. On Ctrl-C: saves a checkpoint, then throws Error(Interrupted) that says how to resume. A
// non-finite loss or gradient throws Error(NonFinite) with step and parameter, or the step is
// skipped: noise and data of later steps are what they would have been. Evaluations change nothing
// of the run's bytes. A killed process resumes to the same bytes (CPU, same number of threads).
// Throws InvalidArgument where another process is writing job.out.
Result train(const model::LoadedModel& loaded, const Config& config, const Job& job);

}  // namespace flanmoe::train
