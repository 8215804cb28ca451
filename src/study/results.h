// What a run folder holds, put together for tables and the report.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "study/record.h"

namespace flanmoe::study {

struct TaskScore {
  std::string name, cluster, metric;
  double value = 0, ci_low = 0, ci_high = 0, chance = 0;
  int64_t num_examples = 0;
  std::vector<double> correct;  // per example, 0 or 1
};

// One arm on one suite (or on a subset of its tasks): the unweighted mean over tasks with its 95 %
// interval.
struct Cell {
  double value = 0, ci_low = 0, ci_high = 0, chance = 0;
  std::vector<TaskScore> tasks;
};
Cell make_cell(std::vector<TaskScore> tasks, uint64_t seed);

struct Column {
  std::string id;  // the suite's spec; the easy subset has one of its own
  std::string title;
};

struct Arm {
  std::string name;
  std::string model_stage;  // whose model is evaluated; empty: one from outside the run
  std::optional<ModelFacts> model;
  TrainingFacts training;             // summed over the chain of stages that made the model
  double wall_s = 0;                  // of that chain; stages shared with other arms count in each
  std::string matched_stage;          // the stage whose training FLOPs were matched, if any
  std::map<std::string, Cell> cells;  // by Column::id
};

struct Results {
  std::string name, description;
  int64_t seed = 0;
  Json run;  // run.json
  std::vector<StageRecord>
      stages;  // those of the recipe, in the order they are done; incomplete ones too
  std::vector<Column> columns;
  std::vector<Arm> arms;
  const Arm* find_arm(const std::string& arm_name) const;
};

// From run.json, stage.json and eval/*.json. Throws NotFound where `run_folder` holds no run,
// CorruptFile where a file is broken.
Results load_results(const std::string& run_folder);

}  // namespace flanmoe::study
