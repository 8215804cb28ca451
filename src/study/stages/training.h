// What pretraining and tuning share.
#pragma once

#include <functional>
#include <string>

#include "data/tokenized_example.h"
#include "eval/validation.h"
#include "peft/config.h"
#include "study/stages/stage_config.h"
#include "text/tokenizer.h"
#include "train/config.h"

namespace flanmoe::study {

using Draw = std::function<data::TokenizedExample(uint64_t position)>;

struct TrainingConfig : CommonConfig {
  std::string model;
  std::string data;
  std::string match_train_flops;
  std::string validation;
  int64_t num_validation_examples = 0;
  peft::Config adapter;
  train::Config train;
  template <class Visitor>
  void visit_training(Visitor& v) {
    visit_common(v);
    v("model", model, "a stage or a folder; empty: model.path");
    v("data", data, "what is trained on; empty: data.pretrain or data.train");
    v("match_train_flops", match_train_flops,
      "a stage: train until this arm has spent as many training FLOPs in all as that one's");
    v("validation", validation,
      "what is evaluated every train.evaluate_every steps; empty: data.validation");
    v("num_validation_examples", num_validation_examples, "examples of it, a task");
    v("adapter", adapter,
      "what is trained in place of the model, whose own weights stay as they are; no components: "
      "the model, or the adapter that `model` is");
    v("train", train,
      "the loop; keys that are not there are those of the top-level train table "
      "and, where that has not got them either, those of the kind of stage");
  }
};

// Trains a model, or an adapter of one, on what the stage draws.
class TrainingStage : public Stage {
 public:
  using Stage::Stage;
  StageOutput output() const override { return StageOutput::Model; }
  bool trains() const override { return true; }
  std::vector<StageInput> inputs() const override;
  std::vector<DataInput> data() const override;
  void check() const override;
  // Loads the input model, trains it on the draw for its tokenizer, and fills in the record.
  void run(StageRun& run) const override;

 protected:
  // Before the stage's own table is read: what the recipe's data table says of validation.
  static void take_validation(TrainingConfig& config, const Sections& sections);
  // Settles where model and data come from; `section_data` is what the recipe's top-level table has
  // under `section_key`.
  void find_inputs(TrainingConfig& config, const Sections& sections,
                   const std::string& section_data, const std::string& section_key);
  virtual const TrainingConfig& training() const = 0;
  // The examples by position. `seed`: stages that train the same model one after the other draw
  // afresh, arms of equal depth draw alike.
  virtual Draw make_draw(uint64_t seed, const text::Tokenizer& tokenizer) const = 0;
  const DataInput& data_input() const { return data_; }
  const DataInput& validation_input() const { return validation_; }
  // Whether the stage needs no `validation` to evaluate.
  virtual bool has_own_validation() const { return false; }
  // For train.evaluate_every; suites where a stage does not say otherwise.
  virtual std::vector<eval::ValidationExample> make_validation_examples(
      const text::Tokenizer& tokenizer) const;
  virtual void check_validation() const;

 private:
  bool evaluates() const { return training().train.evaluate_every > 0; }
  bool reads_validation() const { return evaluates() && !training().validation.empty(); }
  StageInput model_;
  DataInput data_, validation_;
};

}  // namespace flanmoe::study
