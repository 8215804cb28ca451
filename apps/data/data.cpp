#include "data/data.h"

#include <CLI/CLI.hpp>

#include "base/log.h"
#include "base/progress.h"

namespace flanmoe::apps {

void DataSettings::add_to(Options& options) {
  options.option("data", data,
                 "mixture files, examples (files or folders), builtin:NAME; separated by commas");
  options.fields(mixture);
  options.choice(
      "on-error", enum_names<data::OnError>(), "stop",
      [this](const std::string& text) { mixture.on_error = *parse_enum<data::OnError>(text); },
      "stop at a bad line of data, or skip it, count it and name it");
  options.option("seed", seed, "of everything that draws");
  options.flag("json", is_json, "one JSON document on stdout, everything else on stderr");
}

data::Mixture DataSettings::open() const {
  if (is_json) disable_progress();
  data::MixtureConfig config = mixture;
  config.allows_missing = true;
  data::Mixture opened = data::open_mixture(data, config, static_cast<uint64_t>(seed));
  for (const data::MissingSource& source : opened.missing)
    log::warn("[data] missing: {}", data::describe(source));
  return opened;
}

const data::MixtureTask& find_task(const data::Mixture& mixture, const std::string& name) {
  std::vector<std::string> names;
  for (const data::MixtureTask& task : mixture.tasks()) {
    if (task.name() == name || task.collection + "/" + task.name() == name) return task;
    names.push_back(task.name());
  }
  fail(ErrorCode::NotFound, "[data] no task '{}'{}", name, suggestion(name, names));
}

void check_index(const data::MixtureTask& task, int64_t index) {
  const int64_t size = task.source->size();
  if (index < 0 || (size >= 0 && index >= size))
    fail(ErrorCode::InvalidArgument, "[--index] is {}, but task '{}' has {} examples", index,
         task.name(), size < 0 ? "endless" : std::to_string(size));
}

std::string percent(double share) {
  return fmt::format("{:.2f} %", 100 * share);
}

std::string format_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i)
      line += i == 0 ? fmt::format("{:<{}}", row[i], widths[i])
                     : fmt::format("  {:>{}}", row[i], widths[i]);
    while (!line.empty() && line.back() == ' ') line.pop_back();
    text += line + "\n";
  }
  return text;
}

Verb add_data(Options options) {
  struct Part {
    const char* name;
    const char* help;
    Verb (*add)(Options);
  };
  constexpr Part kParts[] = {
      {"list", "the tasks of a mixture with their shares", add_data_list},
      {"show", "examples of a task as its source has them", add_data_show},
      {"render", "what the model sees of an example", add_data_render},
      {"stats", "shares, lengths, truncation and packing of a mixture", add_data_stats},
      {"check", "evaluation inputs that stand in the training text", add_data_check},
  };
  CLI::App& app = options.app();
  app.require_subcommand(0, 1);
  auto verbs = std::make_shared<std::map<const CLI::App*, Verb>>();
  for (const Part& part : kParts) {
    CLI::App* sub = app.add_subcommand(part.name, part.help);
    sub->fallthrough();
    (*verbs)[sub] = part.add(Options(*sub));
  }
  options.footer(
      "Example:\n  flanmoe data list\n  flanmoe data render odd_one_out --index 3\n  flanmoe data "
      "stats --data train.jsonl.gz --model flan-t5-small");
  return [&app, verbs] {
    if (app.get_subcommands().empty())
      fail(ErrorCode::InvalidArgument,
           "[data] expected a verb: list, show, render, stats or check");
    verbs->at(app.get_subcommands().front())();
  };
}

}  // namespace flanmoe::apps
