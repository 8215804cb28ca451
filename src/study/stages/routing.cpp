// Which experts the tokens of every task get: routing/STAGE.SUITE.json for each suite.
#include "base/file.h"
#include "base/json.h"
#include "eval/task_routing.h"
#include "study/data_spec.h"
#include "study/stages/stages.h"
#include "study/stages/suites_stage.h"

namespace flanmoe::study {
namespace {

struct Config : SuitesConfig {
  std::vector<std::string> sites;
  template <class Visitor>
  void visit(Visitor& v) {
    visit_suites(v);
    v("sites", sites,
      "where experts are chosen: a site's name, its end or /regex/; empty: the last feed-forward "
      "block of the decoder");
  }
};

class RoutingStage final : public SuitesStage {
 public:
  RoutingStage(const std::string& name, const ConfigNode& table, const Sections& sections)
      : SuitesStage(name, "routing") {
    take_defaults(config_, sections);
    parse_stage(*this, table, config_);
    find_inputs(config_, sections);
  }
  StageOutput output() const override { return StageOutput::Routing; }
  ConfigNode config() const override { return to_config_node(config_); }

 private:
  const SuitesConfig& suites() const override { return config_; }
  void measure(const model::LoadedModel& loaded, const eval::Suite& suite, const std::string& spec,
               size_t number, StageRun& run) const override {
    make_folders(run.run_folder + "/routing");
    const auto routing = eval::measure_routing(loaded, suite, config_.sites, config_.options,
                                               train::find_compute_dtype(config_.precision));
    Json json = eval::to_json(routing);
    json["title"] = title_of_spec(spec);
    const std::string path =
        fmt::format("routing/{}.{}-{}.json", name(), number + 1, slug_of_spec(spec));
    write_file_atomically(run.run_folder + "/" + path, json.dump(1) + "\n");
    run.add_output(path);
  }

  Config config_;
};

}  // namespace

std::unique_ptr<Stage> make_routing_stage(const std::string& name, const ConfigNode& table,
                                          const Sections& sections) {
  return std::make_unique<RoutingStage>(name, table, sections);
}

}  // namespace flanmoe::study
