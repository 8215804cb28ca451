// Which experts the tokens of every task get: routing/STAGE.SUITE.json for each suite.
#include <c10/core/Device.h>

#include <algorithm>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "eval/task_routing.h"
#include "model/folder.h"
#include "study/data_spec.h"
#include "study/stages/model_facts.h"
#include "study/stages/stage_config.h"
#include "study/stages/stages.h"
#include "train/precision.h"

namespace flanmoe::study {
namespace {

struct Config : CommonConfig {
  std::string model;
  std::string data;
  std::vector<std::string> sites;
  int64_t num_examples = 100;
  train::Precision precision = train::Precision::Float32;
  eval::Config options;
  template <class Visitor>
  void visit(Visitor& v) {
    visit_common(v);
    v("model", model, "a stage or a folder; empty: model.path");
    v("data", data, "suites, separated by commas; empty: eval.data");
    v("sites", sites,
      "where experts are chosen: a site's name, its end or /regex/; empty: the last feed-forward "
      "block of the decoder");
    v("num_examples", num_examples, "examples a task of generated suites");
    v("precision", precision, "of compute: float32 or bfloat16");
    v("options", options, "as those of an evaluation; keys that are not there are of eval.options");
  }
};

class RoutingStage final : public Stage {
 public:
  RoutingStage(const std::string& name, const ConfigNode& table, const Sections& sections)
      : Stage(name, "routing") {
    config_.num_examples = sections.eval.num_examples;
    config_.precision = sections.eval.precision;
    config_.options = sections.eval.options;
    parse_stage(*this, table, config_);
    model_ = make_model_input(*this, config_.model, sections);
    const DataInput chosen = choose_data(*this, config_.data, sections.eval.data, "eval.data");
    config_.model = model_.value;
    config_.data = chosen.spec;
    for (const auto& spec : split_specs(chosen.spec)) data_.push_back({spec, chosen.place});
  }
  StageOutput output() const override { return StageOutput::Routing; }
  ConfigNode config() const override { return to_config_node(config_); }
  std::vector<StageInput> inputs() const override { return {model_}; }
  std::vector<DataInput> data() const override { return data_; }
  void check() const override {
    if (config_.num_examples < 1)
      fail(ErrorCode::InvalidConfig, "[{}] is {}, expected at least 1", place("num_examples"),
           config_.num_examples);
    for (const auto& [spec, from] : data_)
      if (is_builtin(spec)) eval::open_suite(spec, 0, 1);
  }
  void run(StageRun& run) const override {
    const auto loaded = model::load_model_with_tokenizer(run.input_folders.at("model"), at::kFloat,
                                                         c10::Device(run.device));
    make_folders(run.run_folder + "/routing");
    const at::ScalarType dtype = train::find_compute_dtype(config_.precision);
    for (size_t i = 0; i < data_.size(); ++i) {
      const std::string& spec = data_[i].spec;
      const auto suite =
          eval::open_suite(spec, static_cast<uint64_t>(config_.options.seed), config_.num_examples);
      const auto routing =
          eval::measure_routing(loaded, suite, config_.sites, config_.options, dtype);
      Json json = eval::to_json(routing);
      json["title"] = title_of_spec(spec);
      const std::string path =
          fmt::format("routing/{}.{}-{}.json", name(), i + 1, slug_of_spec(spec));
      write_file_atomically(run.run_folder + "/" + path, json.dump(1) + "\n");
      run.add_output(path);
    }
    run.record->model = make_model_facts(*loaded.model);
  }

 private:
  Config config_;
  StageInput model_;
  std::vector<DataInput> data_;
};

}  // namespace

std::unique_ptr<Stage> make_routing_stage(const std::string& name, const ConfigNode& table,
                                          const Sections& sections) {
  return std::make_unique<RoutingStage>(name, table, sections);
}

}  // namespace flanmoe::study
