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

class TuneStage final : public TrainingStage {
 public:
  TuneStage(const std::string& name, const ConfigNode& table, const Sections& sections)
      : TrainingStage(name, "tune") {
    config_.train = sections.train;
    config_.mixture = sections.data.mixture;
    parse_stage(*this, table, config_);
    find_inputs(config_, sections, sections.data.train, "data.train");
  }
  ConfigNode config() const override { return to_config_node(config_); }
  void check() const override {
    TrainingStage::check();
    check_trainable(config_.data, data_input().place);
  }

 private:
  const TrainingConfig& training() const override { return config_; }
  Draw make_draw(uint64_t seed, const text::Tokenizer& tokenizer) const override {
    return make_mixture_draw({config_.data, config_.mixture, seed}, tokenizer);
  }

  Config config_;
};

}  // namespace

std::unique_ptr<Stage> make_tune_stage(const std::string& name, const ConfigNode& table,
                                       const Sections& sections) {
  return std::make_unique<TuneStage>(name, table, sections);
}

}  // namespace flanmoe::study
