// A dense model becomes a sparse one.
#include "convert/upcycle.h"

#include "study/stages/model_facts.h"
#include "study/stages/stage_config.h"
#include "study/stages/stages.h"

namespace flanmoe::study {
namespace {

struct Config : CommonConfig {
  std::string model;
  convert::UpcycleConfig upcycle;
  template <class Visitor>
  void visit(Visitor& v) {
    visit_common(v);
    v("model", model, "a stage or a folder with a dense model; empty: model.path");
    upcycle.visit(v);
  }
};

class UpcycleStage final : public Stage {
 public:
  UpcycleStage(const std::string& name, const ConfigNode& table, const Sections& sections)
      : Stage(name, "upcycle") {
    config_.upcycle.seed = *sections.seed;
    config_.upcycle.set_moe(sections.moe);
    config_.upcycle.decoder_moe = sections.decoder_moe;
    parse_stage(*this, table, config_);
    input_ = make_model_input(*this, config_.model, sections);
    config_.model = input_.value;
  }
  StageOutput output() const override { return StageOutput::Model; }
  ConfigNode config() const override { return to_config_node(config_); }
  std::vector<StageInput> inputs() const override { return {input_}; }
  void run(StageRun& run) const override {
    const model::ModelConfig sparse = convert::upcycle_folder(
        run.input_folders.at("model"), run.folder + "/model", config_.upcycle);
    run.add_output("stages/" + name() + "/model");
    run.record->model = make_model_facts(sparse);
  }

 private:
  Config config_;
  StageInput input_;
};

}  // namespace

std::unique_ptr<Stage> make_upcycle_stage(const std::string& name, const ConfigNode& table,
                                          const Sections& sections) {
  return std::make_unique<UpcycleStage>(name, table, sections);
}

}  // namespace flanmoe::study
