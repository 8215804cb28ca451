// One model on one or more suites: eval/STAGE.SUITE.json for each.
#include <c10/core/Device.h>

#include <algorithm>

#include "base/file.h"
#include "base/log.h"
#include "data/builtin.h"
#include "eval/evaluate.h"
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
  int64_t num_examples = 100;
  train::Precision precision = train::Precision::Float32;
  eval::Config options;
  template <class Visitor>
  void visit(Visitor& v) {
    visit_common(v);
    v("model", model, "a stage or a folder; empty: model.path");
    v("data", data, "suites, separated by commas; empty: eval.data");
    v("num_examples", num_examples, "examples a task of generated suites");
    v("precision", precision, "of compute: float32 or bfloat16");
    v("options", options,
      "how suites are scored; keys that are not there are those of eval.options");
  }
};

// Of a suite that has others too.
std::vector<std::string> find_easy_tasks(const std::string& spec, const eval::Suite& suite) {
  std::vector<std::string> easy;
  if (spec != "builtin:seen") return easy;
  for (const auto& task : suite.tasks)
    for (const auto& info : data::builtin::tasks())
      if (info.name == task.name && info.is_easy) easy.push_back(task.name);
  return easy;
}

class EvaluateStage final : public Stage {
 public:
  EvaluateStage(const std::string& name, const ConfigNode& table, const Sections& sections)
      : Stage(name, "evaluate") {
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
  StageOutput output() const override { return StageOutput::Evaluation; }
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
    make_folders(run.run_folder + "/eval");
    for (const auto& data : data_) evaluate(loaded, data.spec, run);
    run.record->model = make_model_facts(*loaded.model);
  }

 private:
  void evaluate(const model::LoadedModel& loaded, const std::string& spec, StageRun& run) const {
    const auto suite = eval::open_suite(spec, static_cast<uint64_t>(config_.options.seed),
                                        config_.num_examples, config_.options.scores_templates);
    const auto result = eval::evaluate(loaded, suite, config_.options,
                                       train::find_compute_dtype(config_.precision));
    log::info("[study] {}: {} {:.1f} % over {} tasks (chance {:.1f} %){}", name(),
              title_of_spec(spec), 100 * result.mean, result.tasks.size(), 100 * result.mean_chance,
              result.scores_templates ? fmt::format("; mean of medians over templates {:.1f} %",
                                                    100 * result.median_mean)
                                      : "");
    const std::string path = "eval/" + name() + "." + unique_slug(spec, run) + ".json";
    write_file_atomically(
        run.run_folder + "/" + path,
        eval::to_json(result, to_json(to_config_node(config_.options))).dump(1) + "\n");
    run.add_output(path);
    run.record->suites.push_back({spec, title_of_spec(spec), path, find_easy_tasks(spec, suite)});
  }

  // Two files of one name in different folders must not share a result.
  std::string unique_slug(const std::string& spec, const StageRun& run) const {
    const std::string slug = slug_of_spec(spec);
    const auto same =
        std::count_if(run.record->suites.begin(), run.record->suites.end(),
                      [&](const SuiteRecord& suite) { return slug_of_spec(suite.spec) == slug; });
    return same == 0 ? slug : slug + "-" + std::to_string(same + 1);
  }

  Config config_;
  StageInput model_;
  std::vector<DataInput> data_;
};

}  // namespace

std::unique_ptr<Stage> make_evaluate_stage(const std::string& name, const ConfigNode& table,
                                           const Sections& sections) {
  return std::make_unique<EvaluateStage>(name, table, sections);
}

}  // namespace flanmoe::study
