#include "study/stages/training.h"

#include <c10/core/Device.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/random.h"
#include "model/folder.h"
#include "study/stages/model_facts.h"
#include "train/trainer.h"

namespace flanmoe::study {

std::vector<StageInput> make_training_inputs(const Stage& stage, const TrainingConfig& config,
                                             const StageInput& model) {
  std::vector<StageInput> inputs = {model};
  if (!config.match_train_flops.empty())
    inputs.push_back({.name = "match_train_flops",
                      .value = config.match_train_flops,
                      .only_trained = true,
                      .place = stage.place("match_train_flops")});
  return inputs;
}

void check_training(const Stage& stage, const TrainingConfig& config) {
  const bool has_budget = config.train.train_flops > 0 || !config.match_train_flops.empty();
  if (config.train.train_flops > 0 && !config.match_train_flops.empty())
    fail(ErrorCode::InvalidConfig,
         "[{}] is given beside match_train_flops = '{}': expected one of the two",
         stage.place("train.train_flops"), config.match_train_flops);
  if (!has_budget && config.train.steps < 1)
    fail(ErrorCode::InvalidConfig, "[{}] is {}, expected at least 1", stage.place("train.steps"),
         config.train.steps);
  const auto& batch = config.train.batch;
  if (batch.batch_size < 1 || batch.input_length < 2 || batch.target_length < 1)
    fail(ErrorCode::InvalidConfig,
         "[{}] batch_size {}, input_length {}, target_length {}: expected at least 1, 2 and 1",
         stage.place("train.batch"), batch.batch_size, batch.input_length, batch.target_length);
}

uint64_t make_draw_seed(const train::Config& config, const StageRun& run) {
  return RandomKey(static_cast<uint64_t>(config.seed), RandomPurpose::DataOrder)
      .fold(static_cast<uint64_t>(run.num_earlier_trainings))
      .state();
}

namespace {

train::Config with_budget(const Stage& stage, const TrainingConfig& config, const StageRun& run) {
  train::Config train = config.train;
  if (config.match_train_flops.empty()) return train;
  train.train_flops = run.matched_train_flops - run.earlier_train_flops;
  if (train.train_flops <= 0)
    fail(ErrorCode::InvalidConfig,
         "[{}] stage '{}' has spent {:.4g} training FLOPs in all, but {:.4g} are spent before '{}' "
         "begins",
         stage.place("match_train_flops"), config.match_train_flops, run.matched_train_flops,
         run.earlier_train_flops, stage.name());
  return train;
}

}  // namespace

void run_training(const Stage& stage, const TrainingConfig& config, StageRun& run,
                  const std::string& data_hash,
                  const std::function<Draw(const text::Tokenizer&)>& make_draw) {
  const train::Config train = with_budget(stage, config, run);
  auto loaded = model::load_model_with_tokenizer(run.input_folders.at("model"), at::kFloat,
                                                 c10::Device(run.device));
  train::Job job;
  job.out = run.folder;
  job.resumes = run.resumes;
  job.label = stage.name();
  job.draw = make_draw(*loaded.tokenizer);
  job.data_description = hash_text(data_hash + "\n" + run.record->key);
  const train::Result result = train::train(loaded, train, job);
  run.add_output("stages/" + stage.name() + "/model");
  run.add_output("stages/" + stage.name() + "/metrics.jsonl");
  run.record->model = make_model_facts(loaded.model->config());
  run.record->training = TrainingFacts{.steps = result.steps,
                                       .num_examples = result.steps * train.batch.batch_size,
                                       .num_input_tokens = result.num_input_tokens,
                                       .num_target_tokens = result.num_target_tokens,
                                       .train_flops = result.train_flops,
                                       .final_loss = result.final_loss};
}

}  // namespace flanmoe::study
