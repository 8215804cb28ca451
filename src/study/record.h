// What is known of a stage, as its stage.json has it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json_fwd.h"

namespace flanmoe::study {

// Sizes and costs of the model that a stage made, from its config alone.
struct ModelFacts {
  int64_t num_parameters = 0;
  int64_t num_active_parameters = 0;
  int64_t num_experts = 0;  // a sparse layer; 0: a dense model
  std::string router;
  std::string training_difference;     // what decoding computes otherwise; "": nothing
  double encoder_flops_per_token = 0;  // matmul convention, attention scores left out
  double decoder_flops_per_token = 0;
  bool is_sparse() const { return num_experts > 0; }
  double flops_per_token() const { return (encoder_flops_per_token + decoder_flops_per_token) / 2; }
};

// Of one stage, or summed over a chain of stages.
struct TrainingFacts {
  int64_t steps = 0;
  int64_t num_examples = 0;
  int64_t num_input_tokens = 0;
  int64_t num_target_tokens = 0;
  double train_flops = 0;
  double final_loss = 0;               // of the last stage
  int64_t num_trained_parameters = 0;  // in the last stage
  TrainingFacts& operator+=(const TrainingFacts& later);
};

struct InputRecord {
  std::string name;   // "model", "vocabulary", "match_train_flops", "data"
  std::string stage;  // empty: from outside the run
  std::string path;   // folder, file or data spec
  std::string key;    // of the stage, or a content hash
};

struct OutputRecord {
  std::string path;  // below the run folder
  int64_t num_bytes = 0;
};

struct SuiteRecord {
  std::string spec;   // as the recipe names it: "builtin:seen", "data/eval/arc.jsonl.gz"
  std::string title;  // "seen tasks", "arc"
  std::string path;   // of the result, below the run folder
  std::vector<std::string> easy_tasks;
};

struct StageRecord {
  std::string name, kind, arm, key;
  std::string replicate = {};  // of the arm: its seed, or "" where the arm is made once
  bool is_complete = false;
  int64_t num_resumes = 0;
  double wall_s = 0;  // of the process that finished it
  std::vector<InputRecord> inputs;
  std::vector<OutputRecord> outputs;
  std::optional<ModelFacts> model;
  std::optional<TrainingFacts> training;
  std::vector<SuiteRecord> suites;
  int64_t num_threads = 0;
};

Json to_json(const ModelFacts& facts);
Json to_json(const TrainingFacts& facts);
Json to_json(const StageRecord& record);
// Throws CorruptFile naming `where`.
StageRecord parse_record(const Json& json, const std::string& where);

std::string stage_folder(const std::string& run_folder, const std::string& name);
void save_record(const std::string& run_folder, const StageRecord& record);
// Nothing where the stage has no stage.json.
std::optional<StageRecord> load_record(const std::string& run_folder, const std::string& name);

// Bytes of a file or of all files below a folder; -1 where it is missing.
int64_t count_bytes(const std::string& path);
// Whether everything the record lists lies there with the size it had.
bool has_all_outputs(const std::string& run_folder, const StageRecord& record);

}  // namespace flanmoe::study
