// The folder of a stage: where a run stands on disk (trainer.h lists its files).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/json.h"
#include "model/folder.h"
#include "train/checkpoints/checkpoint_store.h"
#include "train/metrics.h"
#include "train/optimizers/optimizer.h"
#include "train/trained_weights.h"
#include "train/trainer.h"

namespace flanmoe::train {

// Keys of Config that change neither the trained model nor metrics.jsonl.
constexpr const char* kKeysBesideTheResult[] = {"checkpoint_every", "checkpoint_every_s",
                                                "keep_last", "keep_every", "writes_tensorboard"};

// What must not change between a run and its continuation, but for kKeysBesideTheResult and, where
// the learning rate does not depend on it and the run has not spent it yet, the budget: steps,
// tokens, train_flops, wall_s.
struct Identity {
  Json config;        // train::Config
  Json model_config;  // as in config.json
  std::string data_hash;
  Json adapter;  // TrainedWeights::adapter_identity()
};
Identity make_identity(const model::Model& model, const TrainedWeights& weights,
                       const Config& config, const Job& job);

// Everything beside weights and optimizer state that a continuation needs.
struct Progressed {
  Counts counts;
  data::Cursor cursor;  // of the next step's batch
  int64_t metrics_bytes = 0;
  Json window = Json::array();   // unfinished metrics
  Json experts = Json::array();  // unfinished expert statistics
  int64_t best_step = 0;         // whose model is the best evaluated one; 0: none yet
  Json extra = Json::object();   // what else the loop carries over a stop, by name
};

class StageFolder {
 public:
  static constexpr const char* kTrainerFile = "trainer.json";
  static constexpr const char* kBestFile = "best.json";

  // Makes the folder and mends what a killed process left behind. Throws InvalidArgument where a
  // run is there already and `job` does not resume it, or was of another kind of weights.
  // `weights` must outlive it.
  StageFolder(const Job& job, const TrainedWeights& weights, Identity identity);

  std::string metrics_path() const { return out_ + "/metrics.jsonl"; }
  // model/ or adapter/
  std::string finished_path() const { return out_ + "/" + weights_.folder_name(); }
  const TrainedWeights& weights() const { return weights_; }
  const CheckpointStore& checkpoints() const { return checkpoints_; }
  const CheckpointStore& best_models() const { return best_models_; }

  // The result of a finished stage, whose weights are then put into weights().
  std::optional<Result> load_finished() const;
  // Where a stopped stage stood; weights and state are then put into weights() and `optimizer`. The
  // newest checkpoint that is whole is taken, with a warning for each newer one that says what is
  // wrong with it. Throws InvalidConfig on another config, model or data, CorruptFile where there
  // are checkpoints and all of them are damaged.
  std::optional<Progressed> load_checkpoint(Optimizer& optimizer) const;
  // Puts the weights of the best model, that of `step`, into weights(); returns the values it was
  // saved with. Nothing must be writing it (CheckpointWriter::wait()). Throws CorruptFile.
  std::map<std::string, double> load_best(int64_t step) const;

  // trainer.json of a checkpoint.
  std::string to_trainer_json(const Progressed& progressed) const;
  // Removes all best models but `best_step` and those that checkpoints name.
  void keep_best_models(int64_t best_step) const;

  // Then the checkpoints go, but for those that keep_every keeps, and the best models. Nothing must
  // be writing a checkpoint. `add` writes more files into the folder that it is given.
  void save_finished(const Result& result,
                     const std::function<void(const std::string& folder)>& add = {}) const;

 private:
  enum class Budget { Same, CanDiffer };
  Json identity_json() const;
  void check_identity(const Json& saved, const std::string& path, Budget budget) const;
  // `began`: Identity::adapter of the run.
  void check_adapter(const Json& began, const std::string& path) const;
  void check_not_spent(const Counts& counts, const std::string& path) const;
  // Throws CorruptFile, Io.
  void check_checkpoint(int64_t step) const;
  int64_t find_whole_checkpoint() const;
  void remove_unfinished() const;

  std::string out_;
  const TrainedWeights& weights_;
  Identity identity_;
  Retention retention_;
  CheckpointStore checkpoints_, best_models_;
};

// Whether a job with `resumes` would go on from something that is in its folder.
bool has_training(const std::string& out);

}  // namespace flanmoe::train
