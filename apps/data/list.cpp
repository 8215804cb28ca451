#include "base/json.h"
#include "data/data.h"

namespace flanmoe::apps {

Verb add_data_list(Options options) {
  auto settings = std::make_shared<DataSettings>();
  settings->add_to(options);
  options.footer(
      "Example:\n  flanmoe data list --data recipes/mixtures/flan2022-released.toml --folder "
      "my-data\n  flanmoe data list --data builtin:train --hold-out arithmetic");
  return [settings] {
    const data::Mixture mixture = settings->open();
    if (settings->is_json) {
      Json tasks = Json::array();
      for (const data::MixtureTask& task : mixture.tasks())
        tasks.push_back({{"task", task.name()},
                         {"cluster", task.cluster()},
                         {"collection", task.collection},
                         {"dataset", task.identity.dataset},
                         {"num_examples", task.num_examples},
                         {"templates", task.prompter->template_names()},
                         {"share", task.rate}});
      Json missing = Json::array();
      for (const data::MissingSource& source : mixture.missing)
        missing.push_back(
            {{"collection", source.collection}, {"path", source.path}, {"obtain", source.obtain}});
      print_json({{"tasks", tasks}, {"held_out", mixture.held_out}, {"missing", missing}});
      return;
    }
    std::vector<std::vector<std::string>> rows = {
        {"task", "cluster", "collection", "examples", "templates", "share"}};
    for (const data::MixtureTask& task : mixture.tasks())
      rows.push_back({task.name(), task.cluster(), task.collection,
                      task.num_examples < 0 ? "endless" : std::to_string(task.num_examples),
                      std::to_string(task.prompter->template_names().size()), percent(task.rate)});
    print(format_table(rows));
    if (!mixture.held_out.empty())
      print(fmt::format("\nheld out: {}\n", fmt::join(mixture.held_out, ", ")));
  };
}

}  // namespace flanmoe::apps
