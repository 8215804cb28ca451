#include "study/report.h"

#include <memory>

#include "common.h"
#include "verbs.h"

namespace flanmoe::apps {

Verb add_report(Options options) {
  struct State {
    Common common;
    std::vector<std::string> runs;
  };
  auto state = std::make_shared<State>();
  options.positionals("RUN_DIR", state->runs, "folders that 'run' wrote");
  options.flag("json", state->common.is_json, "one JSON document on stdout");
  options.footer("Example:\n  flanmoe report runs/quickstart");
  return [state] {
    std::vector<std::string> reports;
    for (const std::string& run : state->runs) reports.push_back(study::write_report(run));
    if (state->common.is_json)
      print_json({{"reports", reports}});
    else
      for (const std::string& report : reports) print(report + "\n");
  };
}

}  // namespace flanmoe::apps
