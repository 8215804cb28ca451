#include "base/json.h"
#include "data/data.h"
#include "data/jsonl.h"

namespace flanmoe::apps {

Verb add_data_show(Options options) {
  struct State {
    DataSettings settings;
    std::string task;
    int64_t index = 0, num = 1;
  };
  auto state = std::make_shared<State>();
  options.positional("TASK", state->task, "name of the task");
  options.option("index", state->index, "number of the first example");
  options.option("num", state->num, "examples to show");
  state->settings.add_to(options);
  options.footer(
      "Example:\n  flanmoe data show group_of_word --num 3\n  flanmoe data show rte --data "
      "rte.csv");
  return [state] {
    const data::Mixture mixture = state->settings.open();
    const data::MixtureTask& task = find_task(mixture, state->task);
    check_index(task, state->index);
    const int64_t size = task.source->size();
    const int64_t end =
        size < 0 ? state->index + state->num : std::min(size, state->index + state->num);
    for (int64_t i = state->index; i < end; ++i)
      print(
          data::to_json(task.source->get(static_cast<uint64_t>(i)))
              .dump(state->settings.is_json ? -1 : 2, ' ', false, Json::error_handler_t::replace) +
          "\n");
  };
}

}  // namespace flanmoe::apps
