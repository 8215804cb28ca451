// Instruction tuning or finetuning on a mixture of tasks.
#include "data/mixture.h"
#include "study/data_spec.h"
#include "study/stages/mixture_draw.h"
#include "study/stages/stages.h"
#include "study/stages/training.h"

namespace flanmoe::study {
namespace {

struct Config : TrainingConfig {
  data::MixtureConfig mixture;
  template <class Visitor>
  void visit(Visitor& v) {
    visit_training(v);
    v("mixture", mixture, "how tasks are mixed; keys that are not there are those of data.mixture");
  }
};

class TuneStage final : public Stage {
 public:
  TuneStage(const std::string& name, const ConfigNode& table, const Sections& sections)
      : Stage(name, "tune") {
    config_.train = sections.train;
    config_.mixture = sections.data.mixture;
    parse_stage(*this, table, config_);
    model_ = make_model_input(*this, config_.model, sections);
    data_ = choose_data(*this, config_.data, sections.data.train, "data.train");
    config_.model = model_.value;
    config_.data = data_.spec;
  }
  StageOutput output() const override { return StageOutput::Model; }
  bool trains() const override { return true; }
  ConfigNode config() const override { return to_config_node(config_); }
  std::vector<StageInput> inputs() const override {
    return make_training_inputs(*this, config_, model_);
  }
  std::vector<DataInput> data() const override { return {data_}; }
  void check() const override {
    check_training(*this, config_);
    check_trainable(config_.data, data_.place);
  }
  void run(StageRun& run) const override {
    const uint64_t seed = make_draw_seed(config_.train, run);
    run_training(*this, config_, run, hash_specs(config_.data),
                 [&](const text::Tokenizer& tokenizer) {
                   return make_mixture_draw({config_.data, config_.mixture, seed}, tokenizer);
                 });
  }

 private:
  Config config_;
  StageInput model_;
  DataInput data_;
};

}  // namespace

std::unique_ptr<Stage> make_tune_stage(const std::string& name, const ConfigNode& table,
                                       const Sections& sections) {
  return std::make_unique<TuneStage>(name, table, sections);
}

}  // namespace flanmoe::study
