// What the stages have in common that put a trained model to suites.
#pragma once

#include <string>
#include <vector>

#include "eval/evaluate.h"
#include "study/stages/stage_config.h"
#include "train/precision.h"

namespace flanmoe::study {

struct SuitesConfig : CommonConfig {
  std::string model;
  std::string data;
  std::string data_folder = ".";
  int64_t num_examples = 100;
  train::Precision precision = train::Precision::Float32;
  eval::Config options;
  template <class Visitor>
  void visit_suites(Visitor& v) {
    visit_common(v);
    v("model", model, "a stage or a folder; empty: model.path");
    v("data", data, "suites, separated by commas; empty: eval.data");
    v("data_folder", data_folder, "that the files of named suites lie below");
    v("num_examples", num_examples, "examples a task of generated suites");
    v("precision", precision, "of compute: float32 or bfloat16");
    v("options", options,
      "how suites are scored; keys that are not there are those of eval.options");
  }
};

class SuitesStage : public Stage {
 public:
  using Stage::Stage;
  std::vector<StageInput> inputs() const override { return {model_}; }
  // The suites, and the files of those that are named.
  std::vector<DataInput> data() const override;
  void check() const override;
  // Loads the input model, measures it on every suite, and fills in the record.
  void run(StageRun& run) const override;

 protected:
  // Before the stage's own table is read: what the recipe's eval table says.
  static void take_defaults(SuitesConfig& config, const Sections& sections);
  // Settles where model and suites come from.
  void find_inputs(SuitesConfig& config, const Sections& sections);
  virtual const SuitesConfig& suites() const = 0;
  // Whether every example of a generated suite is asked with every template.
  virtual bool asks_all_templates() const { return false; }
  // `spec` is what was asked for, `number` its place, from 0.
  virtual void measure(const model::LoadedModel& loaded, const eval::Suite& suite,
                       const std::string& spec, size_t number, StageRun& run) const = 0;

 private:
  StageInput model_;
  std::vector<DataInput> suites_;
};

}  // namespace flanmoe::study
