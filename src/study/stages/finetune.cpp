// Finetuning on one task.
#include "study/data_spec.h"
#include "study/stages/stage_defaults.h"
#include "study/stages/stages.h"
#include "study/stages/task_draw.h"
#include "study/stages/training.h"
#include "study/stages/validation.h"

namespace flanmoe::study {
namespace {

struct Config : TrainingConfig {
  std::string task;
  template <class Visitor>
  void visit(Visitor& v) {
    visit_training(v);
    v("task", task, "the task to take where the data has several");
  }
};

class FinetuneStage final : public TrainingStage {
 public:
  FinetuneStage(const std::string& name, const ConfigNode& table, const Sections& sections)
      : TrainingStage(name, "finetune") {
    config_.train = make_train_defaults(StageKind::Finetune, sections, table);
    take_validation(config_, sections);
    parse_stage(*this, table, config_);
    find_inputs(config_, sections, sections.data.train, "data.train");
  }
  ConfigNode config() const override { return to_config_node(config_); }
  void check() const override {
    TrainingStage::check();
    split(0);
  }

 private:
  const TrainingConfig& training() const override { return config_; }
  bool has_own_validation() const override { return true; }
  Draw make_draw(uint64_t seed, const text::Tokenizer& tokenizer) const override {
    return make_task_draw(split(num_kept()), seed, tokenizer);
  }
  std::vector<eval::ValidationExample> make_validation_examples(
      const text::Tokenizer& tokenizer) const override {
    if (!config_.validation.empty()) return TrainingStage::make_validation_examples(tokenizer);
    const auto seed = static_cast<uint64_t>(config_.train.seed);
    const eval::Suite suite =
        make_validation_suite(split(num_kept()), config_.data, num_kept(), seed);
    return eval::make_validation_examples(suite, tokenizer,
                                          {.input_length = config_.train.batch.input_length,
                                           .target_length = config_.train.batch.target_length,
                                           .seed = seed});
  }

  int64_t num_kept() const {
    const bool is_split = config_.train.evaluate_every > 0 && config_.validation.empty();
    return is_split ? config_.num_validation_examples : 0;
  }
  // The seed is the recipe's, not that of the draw: every stage keeps the same examples back.
  TaskSplit split(int64_t num_validation) const {
    try {
      return open_task(config_.data, config_.task, num_validation,
                       static_cast<uint64_t>(config_.train.seed));
    } catch (const Error& error) {
      fail(error.code(), "[{}] {}", config_.task.empty() ? data_input().place : place("task"),
           error.what());
    }
  }

  Config config_;
};

}  // namespace

std::unique_ptr<Stage> make_finetune_stage(const std::string& name, const ConfigNode& table,
                                           const Sections& sections) {
  return std::make_unique<FinetuneStage>(name, table, sections);
}

}  // namespace flanmoe::study
