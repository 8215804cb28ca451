#include <memory>

#include "base/file.h"
#include "base/json.h"
#include "common.h"
#include "compare_evaluations.h"
#include "eval/evaluate.h"
#include "model_options.h"
#include "verbs.h"

namespace flanmoe::apps {

Verb add_eval(Options options) {
  struct State {
    Common common;
    ModelOptions model;
    std::string suite, data, out;
    int64_t num_examples = 100;
    eval::Config config;
    CompareEvaluations comparison;
  };
  auto state = std::make_shared<State>();
  state->model.add_to(options);
  state->comparison.add_to(options);
  options.option(
      "suite", state->suite,
      "builtin:seen, builtin:unseen-templates, builtin:held-out, builtin:easy-seen, ..., "
      "builtin:cluster/NAME, builtin:TASK; with --data a name of your own");
  options.option("data", state->data, "JSONL files or folders, separated by commas");
  options.option("out", state->out, "file for the result (JSON)");
  options.option("num-examples", state->num_examples, "examples a task of the built-in suites");
  options.fields(state->config);
  state->common.add_to(options, false);
  options.footer(
      "Example:\n  flanmoe eval runs/quickstart/stages/moe/model --suite builtin:easy-held-out "
      "--out "
      "held-out.json\n"
      "  flanmoe eval flan-t5-small --data eval/arc.jsonl.gz --num-shots 2 --json\n"
      "  flanmoe eval --compare moe.json dense.json");
  return [state] {
    if (state->comparison.is_given())
      return state->comparison.run(static_cast<uint64_t>(state->config.seed), state->common.is_json,
                                   state->out);
    if (state->model.model.empty())
      fail(ErrorCode::InvalidArgument, "[eval] expected MODEL, or --compare A.json B.json");
    state->common.apply();
    if (state->suite.empty() && state->data.empty())
      fail(ErrorCode::InvalidArgument, "[eval] expected --suite NAME or --data FILE|DIR");
    eval::Suite suite = eval::open_suite(state->data.empty() ? state->suite : state->data,
                                         static_cast<uint64_t>(state->config.seed),
                                         state->num_examples, state->config.scores_templates);
    if (!state->data.empty() && !state->suite.empty()) suite.name = state->suite;
    const model::LoadedModel loaded = state->model.load_with_tokenizer(state->common);
    const eval::SuiteResult result =
        eval::evaluate(loaded, suite, state->config, state->common.scalar_type());
    const Json json = eval::to_json(result, to_json(to_config_node(state->config)));
    if (!state->out.empty()) write_file_atomically(state->out, json.dump(2) + "\n");
    if (state->common.is_json) {
      print_json(json);
      return;
    }
    std::string text = fmt::format("{:<32} {:>8} {:>17} {:>8} {:>8}\n", "task", "value",
                                   "95 % interval", "chance", "examples");
    for (const eval::TaskResult& task : result.tasks)
      text += fmt::format("{:<32} {:>8.3f} [{:.3f}, {:.3f}]    {:>8.3f} {:>8}\n", task.name,
                          task.value, task.ci_low, task.ci_high, task.chance, task.num_examples);
    text += fmt::format("{:<32} {:>8.3f} {:>17} {:>8.3f}\n", "mean over tasks", result.mean, "",
                        result.mean_chance);
    if (result.scores_templates)
      text +=
          fmt::format("{:<32} {:>8.3f} [{:.3f}, {:.3f}]\n{:<32} {:>8.3f}\n",
                      "mean of medians over templates", result.median_mean, result.median_ci_low,
                      result.median_ci_high, "mean of means over templates", result.template_mean);
    print(text);
  };
}

}  // namespace flanmoe::apps
