// Instruction tuning on a mixture of tasks.
#include "base/file.h"
#include "data/mixture/mixture.h"
#include "study/data_spec.h"
#include "study/stages/mixture_draw.h"
#include "study/stages/stage_defaults.h"
#include "study/stages/stages.h"
#include "study/stages/training.h"

namespace flanmoe::study {
namespace {

struct Config : TrainingConfig {
  data::MixtureConfig mixture;
  template <class Visitor>
  void visit(Visitor& v) {
    visit_training(v);
    v("on_error", mixture.on_error,
      "stop at a bad line, or skip it; where it is not given, data.on_error");
    v("mixture", mixture, "how tasks are mixed; keys that are not there are those of data.mixture");
  }
};

class TuneStage final : public TrainingStage {
 public:
  TuneStage(const std::string& name, const ConfigNode& table, const Sections& sections)
      : TrainingStage(name, "tune") {
    config_.train = make_train_defaults(StageKind::Tune, sections, table);
    take_validation(config_, sections);
    config_.mixture = sections.data.mixture;
    parse_stage(*this, table, config_);
    find_inputs(config_, sections, sections.data.train, "data.train");
  }
  ConfigNode config() const override { return to_config_node(config_); }
  void check() const override {
    TrainingStage::check();
    try {
      data::check_mixture(config_.data, config_.mixture);
    } catch (const Error& error) {
      std::string message = error.what();
      if (message.starts_with("[data] ")) message.erase(0, 7);
      fail(error.code() == ErrorCode::NotFound ? ErrorCode::NotFound : ErrorCode::InvalidConfig,
           "[{}] {}", data_input().place, message);
    }
  }
  // What a mixture file reads counts as this stage's input too.
  std::vector<DataInput> data() const override {
    std::vector<DataInput> inputs = TrainingStage::data();
    for (const std::string& spec : split_specs(config_.data))
      if (spec.ends_with(".toml") && is_file(spec))
        for (const std::string& path : data::mixture_inputs(spec, config_.mixture))
          inputs.push_back({path, data_input().place});
    return inputs;
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
