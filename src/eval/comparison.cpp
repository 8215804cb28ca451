#include "eval/comparison.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/nearest.h"
#include "eval/statistics/bootstrap.h"
#include "eval/statistics/corrections.h"
#include "eval/statistics/paired_bootstrap.h"
#include "eval/statistics/paired_tests.h"

namespace flanmoe::eval {
namespace {

constexpr double kAlpha = 0.05;

using Evaluations = std::vector<Evaluation>;
using Rows = std::vector<std::vector<double>>;  // scores by seed and example

const TaskResult* find_task(const Evaluation& evaluation, const std::string& name) {
  for (const TaskResult& task : evaluation.result.tasks)
    if (task.name == name) return &task;
  return nullptr;
}

bool has_task(const Evaluations& side, const std::string& name) {
  return std::all_of(side.begin(), side.end(),
                     [&](const Evaluation& one) { return find_task(one, name) != nullptr; });
}

// Names of the tasks of any evaluation, in their order.
std::vector<std::string> task_names(const Evaluations& side) {
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (const Evaluation& one : side)
    for (const TaskResult& task : one.result.tasks)
      if (seen.insert(task.name).second) names.push_back(task.name);
  return names;
}

// One question asked with several templates is one example, whose score is the mean over those it
// was asked with: its answers hang together. Where ids repeat they name the question; where every
// prompt has an id of its own and templates have as many examples, the n-th of each template are
// about one question, as in mean_of_medians, and it is named by the id that it has with the first.
// Nothing where neither is so.
std::optional<std::vector<std::string>> name_questions(const TaskResult& task) {
  if (std::set<std::string>(task.ids.begin(), task.ids.end()).size() < task.ids.size()) {
    std::set<std::pair<size_t, std::string>> seen;
    for (size_t i = 0; i < task.template_of.size(); ++i)
      if (!seen.emplace(task.template_of[i], task.ids[i]).second) return std::nullopt;
    return task.ids;
  }
  std::vector<std::vector<size_t>> places(task.templates.size());  // by template, of its examples
  for (size_t i = 0; i < task.template_of.size(); ++i) places[task.template_of[i]].push_back(i);
  std::vector<std::string> names(task.ids.size());
  for (const auto& of_template : places) {
    if (of_template.size() != places[0].size()) return std::nullopt;
    for (size_t question = 0; question < of_template.size(); ++question)
      names[of_template[question]] = task.ids[places[0][question]];
  }
  return names;
}

void merge_questions(TaskResult& task, const std::vector<std::string>& names) {
  std::map<std::string, std::pair<double, double>> of_question;  // sum, number
  std::vector<std::string> ids;
  for (size_t i = 0; i < names.size(); ++i) {
    auto& [sum, count] = of_question[names[i]];
    if (count == 0) ids.push_back(names[i]);
    sum += task.scores[i];
    count += 1;
  }
  task.scores.clear();
  for (const std::string& id : ids)
    task.scores.push_back(of_question[id].first / of_question[id].second);
  task.ids = std::move(ids);
}

Evaluations merge_templates(Evaluations side, std::vector<std::string>& warnings) {
  for (Evaluation& one : side)
    for (TaskResult& task : one.result.tasks) {
      if (!task.group.empty())
        warnings.push_back(fmt::format(
            "'{}' is of the group '{}': means count it as a task of its own, where those of {} "
            "count a group as one",
            task.name, task.group, one.path));
      if (task.templates.size() < 2) continue;
      if (const auto names = name_questions(task))
        merge_questions(task, *names);
      else
        warnings.push_back(fmt::format(
            "templates of '{}' have other numbers of examples each in {}: taken for so many "
            "independent examples",
            task.name, one.path));
    }
  return side;
}

// --- what may be compared ---

void check_same_suite(const Evaluation& first, const Evaluation& other) {
  if (other.result.suite != first.result.suite)
    fail(ErrorCode::InvalidArgument,
         "[eval] {} is of the suite '{}' and {} of '{}': ids mean the same examples only inside "
         "one suite",
         first.path, first.result.suite, other.path, other.result.suite);
}

// A file given twice would make chance look like certainty.
void check_no_repeats(const Evaluations& side) {
  for (size_t i = 0; i < side.size(); ++i)
    for (size_t j = 0; j < i; ++j) {
      const SuiteResult &x = side[i].result, &y = side[j].result;
      if (!x.model_hash.empty() && x.model_hash == y.model_hash &&
          side[i].settings == side[j].settings)
        fail(ErrorCode::InvalidArgument,
             "[eval] {} and {} are one model evaluated once, and seeds of a model are others each "
             "(model_hash {})",
             side[j].path, side[i].path, x.model_hash);
    }
}

// Settings that change what is computed; batches do not.
bool matters(const std::string& key) {
  return key != "max_batch_tokens" && key != "threads";
}

std::string as_text(const Json& settings, const std::string& key) {
  return settings.contains(key) ? settings[key].dump() : "not set";
}

void warn_of_settings(const Evaluation& first, const Evaluation& other,
                      std::vector<std::string>& warnings) {
  std::set<std::string> keys;
  for (const Json* settings : {&first.settings, &other.settings})
    for (const auto& [key, value] : settings->items()) keys.insert(key);
  for (const std::string& key : keys) {
    const std::string x = as_text(first.settings, key), y = as_text(other.settings, key);
    if (x != y && matters(key))
      warnings.push_back(fmt::format(
          "the setting {} differs: {} in {}, {} in {}; the comparison is of models with their "
          "settings",
          key, x, first.path, y, other.path));
  }
}

void warn_of_same_weights(const Evaluations& a, const Evaluations& b,
                          std::vector<std::string>& warnings) {
  for (const Evaluation& x : a)
    for (const Evaluation& y : b)
      if (!x.result.model_hash.empty() && x.result.model_hash == y.result.model_hash)
        warnings.push_back(fmt::format("{} and {} are of the same weights", x.path, y.path));
}

void check_sides(const Evaluations& a, const Evaluations& b, Comparison& comparison) {
  if (a.empty() || b.empty())
    fail(ErrorCode::InvalidArgument,
         "[eval] a comparison needs an evaluation on both sides, found {} and {}", a.size(),
         b.size());
  comparison.suite = a[0].result.suite;
  for (const Evaluations* side : {&a, &b}) {
    check_no_repeats(*side);
    for (const Evaluation& one : *side) {
      check_same_suite(a[0], one);
      if (&one != &a[0]) warn_of_settings(a[0], one, comparison.warnings);
      (side == &a ? comparison.models_a : comparison.models_b).push_back(one.result.model);
    }
  }
  warn_of_same_weights(a, b, comparison.warnings);
  if (a.size() != b.size() && std::min(a.size(), b.size()) == 1)
    comparison.warnings.push_back(
        "one side has one seed: its noise is taken to be like that of the other side's");
}

void check_metric(const std::string& name, const Evaluation& first, const Evaluation& other) {
  const std::string &x = find_task(first, name)->metric, &y = find_task(other, name)->metric;
  if (x != y)
    fail(ErrorCode::InvalidArgument,
         "[eval] task '{}' is measured by '{}' in {} and by '{}' in {}, and values of two metrics "
         "have no difference",
         name, x, first.path, y, other.path);
}

// --- pairs ---

struct PairedTask {
  std::string name, cluster, metric;
  Rows a, b;
  size_t num_examples() const { return a[0].size(); }
};

std::map<std::string, size_t> places_of_ids(const Evaluation& evaluation, const TaskResult& task) {
  std::map<std::string, size_t> places;
  for (size_t i = 0; i < task.ids.size(); ++i)
    if (!places.emplace(task.ids[i], i).second)
      fail(ErrorCode::InvalidArgument,
           "[eval] {}: task '{}' has the id '{}' twice, so its examples cannot be paired",
           evaluation.path, task.name, task.ids[i]);
  return places;
}

// Examples of one side that are not in all of the other's evaluations (or its own).
int64_t count_left_out(const Evaluations& side, const std::string& name, size_t num_shared) {
  std::set<std::string> ids;
  for (const Evaluation& one : side) {
    const TaskResult& task = *find_task(one, name);
    ids.insert(task.ids.begin(), task.ids.end());
  }
  return static_cast<int64_t>(ids.size() - num_shared);
}

void warn_where_not_mean(const Evaluation& evaluation, const TaskResult& task,
                         std::vector<std::string>& warnings) {
  double mean = 0;
  for (double score : task.scores) mean += score / static_cast<double>(task.scores.size());
  if (std::abs(mean - task.value) > 1e-6 && task.templates.empty())
    warnings.push_back(fmt::format(
        "{} of '{}' is not the mean over its examples ({:.4f}, and their mean is {:.4f}, in {}): "
        "compared is the mean",
        task.metric, task.name, task.value, mean, evaluation.path));
}

std::vector<std::string> paths_of(const std::vector<const Evaluation*>& evaluations) {
  std::vector<std::string> paths;
  for (const Evaluation* one : evaluations) paths.push_back(one->path);
  return paths;
}

PairedTask pair_task(const std::string& name, const Evaluations& a, const Evaluations& b,
                     Comparison& comparison) {
  PairedTask paired;
  std::vector<const Evaluation*> all;
  for (const Evaluations* side : {&a, &b})
    for (const Evaluation& one : *side) all.push_back(&one);
  std::vector<std::map<std::string, size_t>> places;
  for (const Evaluation* one : all) {
    check_metric(name, *all[0], *one);
    const TaskResult& task = *find_task(*one, name);
    places.push_back(places_of_ids(*one, task));
    warn_where_not_mean(*one, task, comparison.warnings);
  }
  const TaskResult& first = *find_task(*all[0], name);
  paired.name = name;
  paired.cluster = first.cluster;
  paired.metric = first.metric;
  Rows rows(all.size());
  for (const std::string& id : first.ids) {
    if (!std::all_of(places.begin(), places.end(), [&](const auto& of) { return of.contains(id); }))
      continue;
    for (size_t i = 0; i < all.size(); ++i)
      rows[i].push_back(find_task(*all[i], name)->scores[places[i].at(id)]);
  }
  if (rows[0].empty())
    fail(ErrorCode::InvalidArgument,
         "[eval] task '{}': no example is in all of {}; ids are '{}', ... and '{}', ... (other "
         "data, or other seeds of a generated suite?)",
         name, fmt::join(paths_of(all), ", "), first.ids.empty() ? "" : first.ids[0],
         find_task(*all.back(), name)->ids.empty() ? "" : find_task(*all.back(), name)->ids[0]);
  const LeftOut left_out{name, count_left_out(a, name, rows[0].size()),
                         count_left_out(b, name, rows[0].size())};
  if (left_out.num_examples_a + left_out.num_examples_b > 0) comparison.skipped.push_back(left_out);
  const auto border = rows.begin() + static_cast<std::ptrdiff_t>(a.size());
  paired.a.assign(rows.begin(), border);
  paired.b.assign(border, rows.end());
  return paired;
}

// --- values ---

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// By seed, the mean over tasks.
std::vector<double> means_by_seed(const std::vector<PairedTask>& tasks,
                                  const std::vector<size_t>& chosen, Rows PairedTask::*side) {
  std::vector<double> means((tasks[0].*side).size(), 0.0);
  for (size_t task : chosen)
    for (size_t seed = 0; seed < means.size(); ++seed)
      means[seed] += mean_of((tasks[task].*side)[seed]) / static_cast<double>(chosen.size());
  return means;
}

std::vector<double> subtract(const PairedTask& task) {
  std::vector<double> differences = task.a[0];
  for (size_t i = 0; i < differences.size(); ++i) differences[i] -= task.b[0][i];
  return differences;
}

bool is_right_or_wrong(const PairedTask& task) {
  const auto is_binary = [](const std::vector<double>& scores) {
    return std::all_of(scores.begin(), scores.end(), [](double x) { return x == 0 || x == 1; });
  };
  return is_binary(task.a[0]) && is_binary(task.b[0]);
}

PairedCounts count_pairs(const PairedTask& task) {
  PairedCounts counts;
  for (double difference : subtract(task)) {
    ++counts.num_examples;
    counts.num_only_a += difference > 0 ? 1 : 0;
    counts.num_only_b += difference < 0 ? 1 : 0;
  }
  return counts;
}

class Comparer {
 public:
  Comparer(std::vector<PairedTask> tasks, uint64_t seed, int64_t num_resamples)
      : tasks_(std::move(tasks)), seed_(seed), num_resamples_(num_resamples) {
    SeededScores a, b;
    for (const PairedTask& task : tasks_) {
      a.push_back(task.a);
      b.push_back(task.b);
    }
    resampled_ = hierarchical_bootstrap_of_difference(a, b, seed, num_resamples);
  }

  ComparedValue compare(const std::string& name, const std::vector<size_t>& chosen) const {
    ComparedValue value;
    value.name = name;
    value.tasks = chosen;
    for (size_t task : chosen)
      value.num_examples += static_cast<int64_t>(tasks_[task].num_examples());
    const auto a = means_by_seed(tasks_, chosen, &PairedTask::a),
               b = means_by_seed(tasks_, chosen, &PairedTask::b);
    value.a = mean_of(a);
    value.b = mean_of(b);
    value.difference = value.a - value.b;
    const std::vector<double> resampled = resampled_.resampled_mean(chosen);
    value.ci95 = percentile_interval(resampled);
    if (a.size() > 1 || b.size() > 1)
      judge_over_seeds(value, a, b, resampled);
    else
      judge_over_examples(value);
    return value;
  }

 private:
  static void judge_over_seeds(ComparedValue& value, const std::vector<double>& a,
                               const std::vector<double>& b, const std::vector<double>& resampled) {
    const DifferenceInterval over_seeds = t_interval_of_difference(a, b);
    value.ci95 = {std::min(value.ci95.low, over_seeds.ci95.low),
                  std::max(value.ci95.high, over_seeds.ci95.high)};
    value.p = std::max(bootstrap_p_value(resampled), over_seeds.p);
    value.test = "seeds";
  }

  void judge_over_examples(ComparedValue& value) const {
    const PairedTask& first = tasks_[value.tasks[0]];
    if (value.tasks.size() == 1 && is_right_or_wrong(first)) {
      const PairedCounts counts = count_pairs(first);
      const TestResult test = mcnemar(counts);
      value.ci95 = tango_interval(counts);
      value.p = test.p;
      value.test = test.is_exact ? "mcnemar-exact" : "mcnemar-chi-square";
      return;
    }
    std::vector<std::vector<double>> differences;
    for (size_t task : value.tasks) differences.push_back(subtract(tasks_[task]));
    const TestResult test = paired_permutation_test_over_tasks(differences, seed_, num_resamples_);
    value.p = test.p;
    value.test = test.is_exact ? "permutation-exact" : "permutation";
  }

  std::vector<PairedTask> tasks_;
  uint64_t seed_;
  int64_t num_resamples_;
  ResampledTasks resampled_;
};

void decide(std::vector<ComparedValue>& values) {
  std::vector<double> p_values;
  for (const ComparedValue& value : values) p_values.push_back(value.p);
  const std::vector<double> corrected = holm_correction(p_values);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i].corrected_p = corrected[i];
    if (corrected[i] < kAlpha && values[i].difference != 0)
      values[i].winner = values[i].difference > 0 ? Winner::A : Winner::B;
  }
}

// Names of the tasks that both sides have; the others are noted.
std::vector<std::string> shared_tasks(const Evaluations& a, const Evaluations& b,
                                      Comparison& comparison) {
  std::vector<std::string> shared;
  const std::vector<std::string> names_a = task_names(a), names_b = task_names(b);
  for (const std::string& name : names_a)
    (has_task(a, name) && has_task(b, name) ? shared : comparison.tasks_of_a).push_back(name);
  for (const std::string& name : names_b)
    if (std::find(shared.begin(), shared.end(), name) == shared.end())
      comparison.tasks_of_b.push_back(name);
  if (shared.empty())
    fail(ErrorCode::InvalidArgument, "[eval] no task is in all of the evaluations: '{}'{}",
         names_a.empty() ? "" : names_a[0], suggestion(names_a.empty() ? "" : names_a[0], names_b));
  return shared;
}

struct Category {
  std::string name;
  std::vector<size_t> tasks;
};

// In the order of their first tasks.
std::vector<Category> find_categories(const std::vector<PairedTask>& tasks) {
  std::vector<Category> categories;
  for (size_t i = 0; i < tasks.size(); ++i) {
    const std::string name = tasks[i].cluster.empty() ? "(no category)" : tasks[i].cluster;
    auto found = std::find_if(categories.begin(), categories.end(),
                              [&](const Category& one) { return one.name == name; });
    if (found == categories.end()) found = categories.insert(categories.end(), {name, {}});
    found->tasks.push_back(i);
  }
  return categories;
}

std::string to_string(Winner winner) {
  return winner == Winner::A ? "A" : winner == Winner::B ? "B" : "open";
}

std::string format_p(double p) {
  return p < 0.0001 ? "<0.0001" : fmt::format("{:.4f}", p);
}

constexpr const char* kRow = "{:<{}} {:>8} {:>7} {:>7} {:>7} {:>16} {:>8} {:>8}  {}\n";

std::string format_row(const ComparedValue& value, size_t width, bool is_corrected) {
  return fmt::format(fmt::runtime(kRow), value.name, width, value.num_examples,
                     fmt::format("{:.1f}", 100 * value.a), fmt::format("{:.1f}", 100 * value.b),
                     fmt::format("{:+.1f}", 100 * value.difference),
                     fmt::format("[{:+.1f}, {:+.1f}]", 100 * value.ci95.low, 100 * value.ci95.high),
                     format_p(value.p), is_corrected ? format_p(value.corrected_p) : "",
                     to_string(value.winner));
}

Json to_json(const ComparedValue& value) {
  Json json;
  if (!value.metric.empty()) json["metric"] = value.metric;
  json["num_examples"] = value.num_examples;
  json["num_tasks"] = value.tasks.size();
  json["a"] = value.a;
  json["b"] = value.b;
  json["difference"] = value.difference;
  json["ci95"] = {value.ci95.low, value.ci95.high};
  json["p"] = value.p;
  json["corrected_p"] = value.corrected_p;
  json["test"] = value.test;
  json["winner"] = to_string(value.winner);
  return json;
}

std::vector<std::string> winners(const std::vector<ComparedValue>& values, Winner winner) {
  std::vector<std::string> names;
  for (const ComparedValue& value : values)
    if (value.winner == winner) names.push_back(value.name);
  return names;
}

// "x", "x and y", "x, y and z"; of more than four the first three and how many more.
std::string list(const std::vector<std::string>& names) {
  const size_t shown = names.size() > 4 ? 3 : names.size();
  std::string text;
  for (size_t i = 0; i < shown; ++i)
    text += (i == 0 ? "" : i + 1 == shown && shown == names.size() ? " and " : ", ") + names[i];
  return shown == names.size() ? text : fmt::format("{} and {} more", text, names.size() - shown);
}

std::string seeds_of(size_t count) {
  return count == 1 ? "one evaluation" : fmt::format("{} seeds", count);
}

}  // namespace

Evaluation load_evaluation(const std::string& path) {
  const Json json = load_json(path);
  Evaluation evaluation{parse_result(json, path), Json::object(), path};
  if (json.contains("config") && json["config"].is_object()) evaluation.settings = json["config"];
  return evaluation;
}

Comparison compare(const std::vector<Evaluation>& evaluations_a,
                   const std::vector<Evaluation>& evaluations_b, uint64_t seed,
                   int64_t num_resamples) {
  Comparison comparison;
  const Evaluations a = merge_templates(evaluations_a, comparison.warnings),
                    b = merge_templates(evaluations_b, comparison.warnings);
  check_sides(a, b, comparison);
  std::vector<PairedTask> tasks;
  for (const std::string& name : shared_tasks(a, b, comparison))
    tasks.push_back(pair_task(name, a, b, comparison));

  const Comparer comparer(tasks, seed, num_resamples);
  std::vector<size_t> all(tasks.size());
  std::iota(all.begin(), all.end(), size_t{0});
  for (size_t i : all) {
    comparison.tasks.push_back(comparer.compare(tasks[i].name, {i}));
    comparison.tasks.back().metric = tasks[i].metric;
  }
  const std::vector<Category> categories = find_categories(tasks);
  if (categories.size() > 1)
    for (const Category& category : categories)
      comparison.categories.push_back(comparer.compare(category.name, category.tasks));
  decide(comparison.tasks);
  decide(comparison.categories);
  std::vector<ComparedValue> mean = {comparer.compare("mean over tasks", all)};
  decide(mean);
  comparison.mean = std::move(mean[0]);
  return comparison;
}

std::string to_sentence(const Comparison& comparison) {
  const ComparedValue& mean = comparison.mean;
  const std::string certainty = fmt::format(
      "{:.1f} % against {:.1f} %, a difference of {:+.1f} points, 95 % interval [{:+.1f}, "
      "{:+.1f}], p {}",
      100 * mean.a, 100 * mean.b, 100 * mean.difference, 100 * mean.ci95.low, 100 * mean.ci95.high,
      mean.p < 0.0001 ? "< 0.0001" : fmt::format("= {:.4f}", mean.p));
  const std::string verdict = mean.winner == Winner::Open ? "it is open whether A or B is better"
                                                          : to_string(mean.winner) + " wins";
  const auto of_a = winners(comparison.tasks, Winner::A),
             of_b = winners(comparison.tasks, Winner::B);
  const size_t num_open = comparison.tasks.size() - of_a.size() - of_b.size();
  std::vector<std::string> parts;
  if (!of_a.empty()) parts.push_back(fmt::format("A wins {} ({})", of_a.size(), list(of_a)));
  if (!of_b.empty()) parts.push_back(fmt::format("B wins {} ({})", of_b.size(), list(of_b)));
  if (num_open > 0)
    parts.push_back(fmt::format("{} {} open", num_open, num_open == 1 ? "is" : "are"));
  const size_t num_tasks = comparison.tasks.size();
  return fmt::format("{}: {}, {}; of {} task{}, after Holm's correction, {}.", comparison.suite,
                     verdict, certainty, num_tasks, num_tasks == 1 ? "" : "s",
                     fmt::join(parts, ", "));
}

std::string format_comparison(const Comparison& comparison) {
  std::string text =
      fmt::format("suite {}\nA: {} ({})\nB: {} ({})\n\n", comparison.suite,
                  fmt::join(comparison.models_a, ", "), seeds_of(comparison.models_a.size()),
                  fmt::join(comparison.models_b, ", "), seeds_of(comparison.models_b.size()));
  size_t width = comparison.mean.name.size();
  for (const auto* values : {&comparison.tasks, &comparison.categories})
    for (const ComparedValue& value : *values) width = std::max(width, value.name.size());
  const auto header = [&](const std::string& what) {
    text += fmt::format(fmt::runtime(kRow), what, width, "examples", "A, %", "B, %", "A - B",
                        "95 % interval", "p", "p (Holm)", "wins");
  };
  header("task");
  for (const ComparedValue& value : comparison.tasks) text += format_row(value, width, true);
  text += format_row(comparison.mean, width, false);
  if (!comparison.categories.empty()) {
    text += "\n";
    header("category");
    for (const ComparedValue& value : comparison.categories) text += format_row(value, width, true);
  }
  if (!comparison.skipped.empty() || !comparison.tasks_of_a.empty() ||
      !comparison.tasks_of_b.empty() || !comparison.warnings.empty())
    text += "\n";
  for (const LeftOut& one : comparison.skipped)
    text += fmt::format("left out of {}: {} examples of A and {} of B that are not in all files\n",
                        one.task, one.num_examples_a, one.num_examples_b);
  if (!comparison.tasks_of_a.empty())
    text += fmt::format("not compared, not in all files, of A: {}\n",
                        fmt::join(comparison.tasks_of_a, ", "));
  if (!comparison.tasks_of_b.empty())
    text += fmt::format("not compared, not in all files, of B: {}\n",
                        fmt::join(comparison.tasks_of_b, ", "));
  for (const std::string& warning : comparison.warnings) text += "warning: " + warning + "\n";
  return text + "\n" + to_sentence(comparison) + "\n";
}

Json to_json(const Comparison& comparison) {
  Json json;
  json["suite"] = comparison.suite;
  json["models"] = {{"a", comparison.models_a}, {"b", comparison.models_b}};
  json["tasks"] = Json::object();
  for (const ComparedValue& value : comparison.tasks) json["tasks"][value.name] = to_json(value);
  json["categories"] = Json::object();
  for (const ComparedValue& value : comparison.categories)
    json["categories"][value.name] = to_json(value);
  json["mean"] = to_json(comparison.mean);
  json["left_out"] = Json::object();
  for (const LeftOut& one : comparison.skipped)
    json["left_out"][one.task] = {{"a", one.num_examples_a}, {"b", one.num_examples_b}};
  json["tasks_of_one_side"] = {{"a", comparison.tasks_of_a}, {"b", comparison.tasks_of_b}};
  json["warnings"] = comparison.warnings;
  json["sentence"] = to_sentence(comparison);
  return json;
}

}  // namespace flanmoe::eval
