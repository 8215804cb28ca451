// The folder of a stage: where a run stands on disk (trainer.h lists its files).
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/json.h"
#include "model/folder.h"
#include "train/metrics.h"
#include "train/optimizers/optimizer.h"
#include "train/trainer.h"

namespace flanmoe::train {

// What must not change between a run and its continuation.
struct Identity {
  Json config;        // train::Config
  Json model_config;  // as in config.json
  std::string data_hash;
};
Identity make_identity(const model::Model& model, const Config& config, const Job& job);

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
  // Makes the folder and mends what a killed process left behind. Throws InvalidArgument where a
  // run is there already and `job` does not resume it.
  StageFolder(const Job& job, Identity identity);

  std::string metrics_path() const { return out_ + "/metrics.jsonl"; }
  std::string checkpoint_path() const { return out_ + "/checkpoint"; }
  std::string model_path() const { return out_ + "/model"; }

  // The result of a finished stage, whose weights are then put into `loaded`.
  std::optional<Result> load_finished(model::LoadedModel& loaded) const;
  // Where a stopped stage stood; weights and state are then put into `loaded` and `optimizer`.
  // Throws InvalidConfig on another config, model or data.
  std::optional<Progressed> load_checkpoint(model::LoadedModel& loaded, Optimizer& optimizer) const;

  // The old checkpoint stays whole until the new one is. Throws Io.
  void save_checkpoint(const model::LoadedModel& loaded, Optimizer& optimizer,
                       const Progressed& progressed) const;
  // The model as it stands, in best/step-N; earlier ones go when a checkpoint is saved that does
  // not name them. Throws Io.
  void save_best(const model::LoadedModel& loaded, int64_t step) const;
  // Puts the weights of the best model into `loaded`.
  void load_best(model::LoadedModel& loaded, int64_t step) const;
  // `add`: as in model::save_model().
  void save_finished(const model::LoadedModel& loaded, const Result& result,
                     const std::function<void(const std::string& folder)>& add = {}) const;

 private:
  Json identity_json() const;
  std::string best_path(int64_t step) const;
  void check_identity(const Json& saved, const std::string& path) const;

  std::string out_;
  Identity identity_;
};

}  // namespace flanmoe::train
