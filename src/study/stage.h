// A stage of a recipe: what it is configured with, what it takes, and how it is done.
//
// A new kind of stage is one file in study/stages/ and one line in stage_registry.cpp.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/config_node.h"
#include "base/registry.h"
#include "study/record.h"

namespace flanmoe::study {

struct Sections;

enum class StageOutput { Vocabulary, Model, Evaluation, Routing };

// What a stage names in its recipe: another stage, or a folder from outside the run.
struct StageInput {
  std::string name;   // the key in the stage's table: "model", "vocabulary", "match_train_flops"
  std::string value;  // as the recipe has it
  StageOutput output = StageOutput::Model;  // what is expected of it
  bool only_trained = false;                // only a stage that trains will do
  std::string
      place;  // dotted path of the key that gave the value: "stages.tune.model" or "model.path"
};

struct DataInput {
  std::string spec;   // comma-separated: files, folders, builtin:...
  std::string place;  // "data.train"
};

// What a stage is given when it runs.
struct StageRun {
  std::string run_folder;
  std::string folder;  // of the stage
  std::string device = "cpu";
  bool resumes = false;  // continue what an earlier process left in `folder`
  std::map<std::string, std::string> input_folders;  // by StageInput::name
  int64_t num_earlier_trainings = 0;                 // stages that trained the model before
  double earlier_train_flops = 0;                    // and what they spent
  double matched_train_flops = 0;                    // total to arrive at; 0: train.steps count
  StageRecord* record = nullptr;  // outputs, model, training and suites are filled in

  // "stages/NAME/model": noted as an output of the stage, to be complete for it to be skipped next
  // time.
  void add_output(const std::string& path_below_run_folder);
};

class Stage {
 public:
  Stage(std::string name, std::string kind) : name_(std::move(name)), kind_(std::move(kind)) {}
  virtual ~Stage() = default;
  const std::string& name() const { return name_; }
  const std::string& kind() const { return kind_; }
  std::string place(const std::string& key) const { return "stages." + name_ + "." + key; }

  // Label in tables and the report; where the recipe gives none, that of the stage whose model it
  // takes.
  std::string arm;
  // The seed, where the arm is made several times over (sweep.h); "": it is made once.
  std::string replicate;

  virtual StageOutput output() const = 0;
  virtual bool trains() const { return false; }
  // Every key with its value, as the resolved recipe has it.
  virtual ConfigNode config() const = 0;
  virtual std::vector<StageInput> inputs() const { return {}; }
  virtual std::vector<DataInput> data() const { return {}; }
  // What can be found wrong before anything runs. Throws Error.
  virtual void check() const {}
  virtual void run(StageRun& run) const = 0;

 private:
  std::string name_, kind_;
};

// Builds a stage from its table; keys that are not there take their value from the recipe's
// top-level tables.
using MakeStage = std::unique_ptr<Stage> (*)(const std::string& name, const ConfigNode& table,
                                             const Sections& sections);
const Registry<MakeStage>& stage_registry();

}  // namespace flanmoe::study
