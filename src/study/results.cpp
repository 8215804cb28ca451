#include "study/results.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "eval/evaluate.h"
#include "eval/statistics/intervals.h"
#include "eval/statistics/paired_bootstrap.h"
#include "eval/statistics/template_medians.h"

namespace flanmoe::study {
namespace {

constexpr int64_t kResamplesOfCell = 4000;
const std::string kEasySuffix = "#easy";
const std::string kMedianSuffix = "#median";

std::vector<TaskScore> load_tasks(const std::string& path) {
  const auto result = eval::parse_result(load_json(path), path);
  std::vector<TaskScore> tasks;
  for (const auto& task : result.tasks)
    tasks.push_back({task.name, task.cluster, task.metric, task.value, task.ci_low, task.ci_high,
                     task.chance, task.num_examples, task.scores});
  for (size_t i = 0; i < tasks.size(); ++i)
    for (const auto& one : result.tasks[i].templates) tasks[i].templates.push_back(one.scores);
  if (result.scores_templates)
    for (size_t i = 0; i < tasks.size(); ++i) tasks[i].value = result.tasks[i].template_mean;
  return tasks;
}

const StageRecord* find_stage(const Results& results, const std::string& name) {
  for (const auto& stage : results.stages)
    if (stage.name == name) return &stage;
  return nullptr;
}

std::string find_input(const StageRecord& record, const std::string& name) {
  for (const auto& input : record.inputs)
    if (input.name == name) return input.stage;
  return {};
}

// From the evaluated model back to where it came from, then summed in the order of training.
void sum_chain(const Results& results, Arm& arm) {
  std::vector<const StageRecord*> chain;
  for (const StageRecord* stage = find_stage(results, arm.model_stage);
       stage && chain.size() <= results.stages.size();) {
    chain.push_back(stage);
    const std::string model = find_input(*stage, "model");
    stage = find_stage(results, model.empty() ? find_input(*stage, "vocabulary") : model);
  }
  std::reverse(chain.begin(), chain.end());
  for (const StageRecord* stage : chain) {
    arm.wall_s += stage->wall_s;
    if (stage->training) {
      arm.training += *stage->training;
      arm.last_training = *stage->training;
    }
    if (const std::string matched = find_input(*stage, "match_train_flops"); !matched.empty())
      arm.matched_stage = matched;
  }
}

void add_column(Results& results, const std::string& id, const std::string& title) {
  for (const auto& column : results.columns)
    if (column.id == id) return;
  results.columns.push_back({id, title});
}

void add_suite(Results& results, Arm& arm, const SuiteRecord& suite,
               const std::string& run_folder) {
  auto tasks = load_tasks(run_folder + "/" + suite.path);
  const auto seed = static_cast<uint64_t>(results.seed);
  const bool has_templates =
      !tasks.empty() && std::all_of(tasks.begin(), tasks.end(),
                                    [](const auto& task) { return !task.templates.empty(); });
  if (has_templates) {
    add_column(results, suite.spec + kMedianSuffix, suite.title + ", median over templates");
    arm.cells[suite.spec + kMedianSuffix] = make_median_cell(tasks, seed);
  }
  add_column(results, suite.spec, suite.title + (has_templates ? ", mean over templates" : ""));
  std::vector<TaskScore> easy;
  for (const auto& task : tasks)
    if (std::find(suite.easy_tasks.begin(), suite.easy_tasks.end(), task.name) !=
        suite.easy_tasks.end())
      easy.push_back(task);
  if (!easy.empty()) {
    add_column(results, suite.spec + kEasySuffix, "easy subset");
    arm.cells[suite.spec + kEasySuffix] = make_cell(std::move(easy), seed);
  }
  arm.cells[suite.spec] = make_cell(std::move(tasks), seed);
}

void add_evaluation(Results& results, const StageRecord& record, const std::string& run_folder) {
  auto found = std::find_if(results.arms.begin(), results.arms.end(), [&](const Arm& arm) {
    return arm.name == record.arm && arm.replicate == record.replicate;
  });
  if (found == results.arms.end()) {
    Arm arm{.name = record.arm, .model_stage = find_input(record, "model"), .model = record.model};
    arm.replicate = record.replicate;
    sum_chain(results, arm);
    found = results.arms.insert(results.arms.end(), std::move(arm));
  }
  for (const auto& suite : record.suites) add_suite(results, *found, suite, run_folder);
}

}  // namespace

Cell make_cell(std::vector<TaskScore> tasks, uint64_t seed) {
  Cell cell;
  std::vector<std::vector<double>> correct, zeros;
  int64_t num_examples = 0, num_correct = 0;
  for (const auto& task : tasks) {
    cell.value += task.value / static_cast<double>(tasks.size());
    cell.chance += task.chance / static_cast<double>(tasks.size());
    if (task.scores.empty()) continue;
    num_examples += static_cast<int64_t>(task.scores.size());
    for (double x : task.scores) num_correct += x > 0.5 ? 1 : 0;
    correct.push_back(task.scores);
    zeros.emplace_back(task.scores.size(), 0.0);
  }
  cell.ci_low = cell.ci_high = cell.value;
  if (num_examples > 0) {
    // a bootstrap of all-right or all-wrong answers knows no doubt
    const bool is_uniform = num_correct == 0 || num_correct == num_examples;
    const auto interval =
        is_uniform ? eval::wilson_interval(num_correct, num_examples)
                   : eval::paired_bootstrap_over_tasks(correct, zeros, seed, kResamplesOfCell).ci95;
    cell.ci_low = interval.low;
    cell.ci_high = interval.high;
  }
  cell.tasks = std::move(tasks);
  return cell;
}

Cell make_median_cell(std::vector<TaskScore> tasks, uint64_t seed) {
  Cell cell;
  cell.is_median = true;
  eval::TemplateScores scores;
  for (auto& task : tasks) {
    std::vector<double> values;
    for (const auto& correct : task.templates) {
      double sum = 0;
      for (double x : correct) sum += x;
      values.push_back(sum / static_cast<double>(correct.size()));
    }
    task.value = eval::median(std::move(values));
    cell.chance += task.chance / static_cast<double>(tasks.size());
    scores.push_back(task.templates);
  }
  cell.value = eval::mean_of_medians(scores);
  const auto interval = eval::bootstrap_mean_of_medians(scores, seed);
  cell.ci_low = interval.low;
  cell.ci_high = interval.high;
  cell.tasks = std::move(tasks);
  return cell;
}

namespace {

void set_interval(const std::vector<double>& values, double& value, double& low, double& high) {
  const auto result = eval::t_interval(values);
  value = result.mean;
  low = result.ci95.low;
  high = result.ci95.high;
}

// Of the seeds that have the column; one alone stays as it is.
Cell combine_cells(const std::vector<const Arm*>& arms, const std::string& column) {
  std::vector<const Cell*> cells;
  std::map<std::string, double> by_replicate;
  for (const Arm* arm : arms)
    if (const auto cell = arm->cells.find(column); cell != arm->cells.end()) {
      cells.push_back(&cell->second);
      by_replicate[arm->replicate] = cell->second.value;
    }
  Cell combined = *cells.front();
  combined.by_replicate = std::move(by_replicate);
  if (cells.size() == 1) return combined;
  std::vector<double> values;
  for (const Cell* cell : cells) values.push_back(cell->value);
  set_interval(values, combined.value, combined.ci_low, combined.ci_high);
  for (TaskScore& task : combined.tasks) {
    values.clear();
    for (const Cell* cell : cells)
      for (const TaskScore& other : cell->tasks)
        if (other.name == task.name) values.push_back(other.value);
    set_interval(values, task.value, task.ci_low, task.ci_high);
    task.scores.clear();
    task.templates.clear();
  }
  return combined;
}

TrainingFacts mean_of(const std::vector<TrainingFacts>& facts) {
  TrainingFacts sum;
  double loss = 0;
  for (const auto& one : facts) {
    sum += one;
    loss += one.final_loss;
  }
  const auto count = static_cast<int64_t>(facts.size());
  for (int64_t* value :
       {&sum.steps, &sum.num_examples, &sum.num_input_tokens, &sum.num_target_tokens})
    *value /= count;
  sum.train_flops /= static_cast<double>(count);
  sum.final_loss = loss / static_cast<double>(count);
  return sum;
}

Arm combine(const std::vector<const Arm*>& arms) {
  Arm combined = *arms.front();
  if (arms.size() == 1) return combined;
  combined.replicate.clear();
  combined.num_replicates = static_cast<int64_t>(arms.size());
  std::vector<TrainingFacts> training, last;
  combined.wall_s = 0;
  std::set<std::string> columns;
  for (const Arm* arm : arms) {
    training.push_back(arm->training);
    last.push_back(arm->last_training);
    combined.wall_s += arm->wall_s / static_cast<double>(arms.size());
    for (const auto& [column, cell] : arm->cells) columns.insert(column);
  }
  combined.training = mean_of(training);
  combined.last_training = mean_of(last);
  combined.cells.clear();
  for (const auto& column : columns) combined.cells[column] = combine_cells(arms, column);
  return combined;
}

}  // namespace

std::vector<Arm> combine_replicates(const std::vector<Arm>& arms) {
  std::vector<std::string> names;
  for (const Arm& arm : arms)
    if (std::find(names.begin(), names.end(), arm.name) == names.end()) names.push_back(arm.name);
  std::vector<Arm> combined;
  for (const auto& name : names) {
    std::vector<const Arm*> same;
    for (const Arm& arm : arms)
      if (arm.name == name) same.push_back(&arm);
    combined.push_back(combine(same));
  }
  return combined;
}

const Arm* Results::find_arm(const std::string& arm_name) const {
  for (const auto& arm : arms)
    if (arm.name == arm_name) return &arm;
  return nullptr;
}

Results load_results(const std::string& run_folder) {
  const std::string path = run_folder + "/run.json";
  if (!is_file(path))
    fail(ErrorCode::NotFound, "[study] {} is not the folder of a run: it has no run.json",
         run_folder);
  Results results;
  results.run = load_json(path);
  std::vector<std::string> file_order;
  read_fields("[study] " + path + ": not the record of a run", [&] {
    results.run.at("name").get_to(results.name);
    results.run.at("description").get_to(results.description);
    results.run.at("seed").get_to(results.seed);
    results.run.at("file_order").get_to(file_order);
    if (results.run.contains("comparisons")) results.run["comparisons"].get_to(results.comparisons);
    for (const auto& name : results.run.at("stages"))
      if (auto record = load_record(run_folder, name.get<std::string>()))
        results.stages.push_back(std::move(*record));
  });
  for (const auto& name : file_order)
    if (const StageRecord* record = find_stage(results, name);
        record && record->is_complete && !record->suites.empty())
      add_evaluation(results, *record, run_folder);
  std::vector<Arm> combined = combine_replicates(results.arms);
  if (combined.size() < results.arms.size()) results.replicates = std::move(results.arms);
  results.arms = std::move(combined);
  return results;
}

}  // namespace flanmoe::study
