// What pretraining and tuning share.
#pragma once

#include <functional>
#include <string>

#include "data/example.h"
#include "study/stages/stage_config.h"
#include "text/tokenizer.h"
#include "train/config.h"

namespace flanmoe::study {

using Draw = std::function<data::TokenizedExample(uint64_t position)>;

struct TrainingConfig : CommonConfig {
  std::string model;
  std::string data;
  std::string match_train_flops;
  train::Config train;
  template <class Visitor>
  void visit_training(Visitor& v) {
    visit_common(v);
    v("model", model, "a stage or a folder; empty: model.path");
    v("data", data, "what is trained on; empty: data.pretrain or data.train");
    v("match_train_flops", match_train_flops,
      "a stage: train until this arm has spent as many training FLOPs in all as that one's");
    v("train", train, "the loop; keys that are not there are those of the top-level train table");
  }
};

// `model` and, where it is given, `match_train_flops`.
std::vector<StageInput> make_training_inputs(const Stage& stage, const TrainingConfig& config,
                                             const StageInput& model);
void check_training(const Stage& stage, const TrainingConfig& config);

// The key of everything that a stage draws: stages that train the same model one after the other
// draw afresh, arms of equal depth draw alike.
uint64_t make_draw_seed(const train::Config& config, const StageRun& run);

// Loads the input model, trains it on the draw that `make_draw` gives for its tokenizer, and fills
// in the record.
void run_training(const Stage& stage, const TrainingConfig& config, StageRun& run,
                  const std::string& data_hash,
                  const std::function<Draw(const text::Tokenizer&)>& make_draw);

}  // namespace flanmoe::study
