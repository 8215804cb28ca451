// docs/builtin-collection.md is what the code says; tools/make_builtin_docs writes it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "base/file.h"
#include "data/builtin.h"

namespace flanmoe::data::builtin {
namespace {

std::string join(const std::vector<std::string>& parts, const std::string& separator) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : separator) + part;
  return text;
}

// Inside a code span of a table, a bar would end the cell.
std::string code(std::string text) {
  for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2)
    text.replace(at, 1, "\\|");
  return "`" + text + "`";
}

std::string describe_task(const TaskInfo& task) {
  Options options;
  options.language = task.languages.front();
  const Split split = task.is_held_out ? Split::Evaluation : Split::Train;
  const Example example = make_example(task.name, split, TemplateSet::Seen, 1, 0, options);
  std::string text = fmt::format("### {}\n\n{}", task.name, task.description);
  if (task.is_easy) text += "; easy subset";
  if (!task.level_changes.empty())
    text += fmt::format(". Difficulty changes: {}", task.level_changes);
  text += fmt::format(".\n\n| | |\n|---|---|\n| inputs | {} |\n| targets | {} |\n",
                      code(example.inputs), code(example.targets));
  if (!example.choices.empty()) {
    std::vector<std::string> choices;
    for (const std::string& choice : example.choices) choices.push_back(code(choice));
    text += fmt::format("| choices | {} |\n", join(choices, ", "));
  }
  if (!example.rationale.empty())
    text += fmt::format("| rationale | {} |\n", code(example.rationale));
  if (task.languages.size() > 1) {
    for (size_t i = 1; i < task.languages.size(); ++i) {
      options.language = task.languages[i];
      const Example other = make_example(task.name, split, TemplateSet::Seen, 1, 0, options);
      text += fmt::format("| {} | {} → {} |\n", options.language, code(other.inputs),
                          code(other.targets));
    }
  }
  return text + "\n";
}

std::string describe_collection() {
  std::vector<std::string> clusters;
  std::map<std::string, std::vector<const TaskInfo*>> by_cluster;
  size_t num_easy = 0, num_templates = 0;
  for (const TaskInfo& task : tasks()) {
    if (by_cluster.count(task.cluster) == 0) clusters.push_back(task.cluster);
    by_cluster[task.cluster].push_back(&task);
    num_easy += task.is_easy && !task.is_held_out;
    num_templates +=
        static_cast<size_t>(task.num_templates + task.num_unseen_templates) * task.languages.size();
  }
  std::string text = fmt::format(
      "# The built-in collection\n\n"
      "Written by tools/make_builtin_docs; a test compares it with the code.\n\n"
      "{} procedural tasks in {} clusters, generated from a seed, with {} templates. The clusters "
      "{} are held out: nothing of theirs is trained on. The easy subset has {} tasks for training "
      "and the first four of `reading`. Shown is example 0 of seed 1 at difficulty {} (of 1 to "
      "5).\n\n"
      "Recipes and commands name it `builtin:NAME`: for training `train`, `easy`, `cluster/NAME`, "
      "`TASK`; for evaluation `seen`, `unseen-templates`, `held-out`, `easy-seen`, "
      "`easy-unseen-templates`, `easy-held-out`, `cluster/NAME`, `TASK`; as documents `corpus`, "
      "`easy-corpus`. Options follow a question mark: `builtin:train?difficulty=3&language=de`. "
      "With a language, the tasks that have it are taken, in that language; without one, parallel "
      "tasks draw a language for every example. Under one index a parallel task says the same in "
      "every language.\n\n"
      "| cluster | tasks | held out | with rationale | languages |\n|---|---|---|---|---|\n",
      tasks().size(), clusters.size(), num_templates, join(held_out_clusters(), ", "), num_easy,
      Options().difficulty);
  for (const std::string& cluster : clusters) {
    size_t num_rationales = 0;
    for (const TaskInfo* task : by_cluster[cluster])
      num_rationales +=
          !make_example(task->name, Split::Evaluation, TemplateSet::Seen, 1, 0).rationale.empty();
    const TaskInfo& first = *by_cluster[cluster].front();
    text += fmt::format("| [{}](#{}) | {} | {} | {} | {} |\n", cluster, cluster,
                        by_cluster[cluster].size(), first.is_held_out ? "yes" : "", num_rationales,
                        join(first.languages, ", "));
  }
  text += "\n";
  for (const std::string& cluster : clusters) {
    text += fmt::format("## {}\n\n", cluster);
    for (const TaskInfo* task : by_cluster[cluster]) text += describe_task(*task);
  }
  text += "## corpus\n\nDocuments 0 to 15 of seed 1.\n\n";
  for (uint64_t i = 0; i < 16; ++i) text += fmt::format("* {}\n", code(make_document(1, i)));
  return text;
}

TEST(BuiltinDocs, TheFileIsWhatTheCodeSays) {
  const std::string path = FLANMOE_SOURCE_DIR "/docs/builtin-collection.md";
  const std::string text = describe_collection();
  if (const char* target = std::getenv("FLANMOE_WRITE_BUILTIN_DOCS")) {
    write_file_atomically(target, text);
    return;
  }
  EXPECT_EQ(read_file(path), text) << "run tools/make_builtin_docs";
}

}  // namespace
}  // namespace flanmoe::data::builtin
