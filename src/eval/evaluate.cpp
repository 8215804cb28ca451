#include "eval/evaluate.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "base/random.h"
#include "eval/metrics/exact_match.h"
#include "eval/prompt.h"
#include "eval/scoring.h"
#include "eval/statistics/intervals.h"
#include "eval/statistics/template_medians.h"
#include "generate/generate.h"

namespace flanmoe::eval {
namespace {

void check(const model::LoadedModel& loaded, const Suite& suite, const Config& config) {
  if (!loaded.tokenizer)
    fail(ErrorCode::NotFound, "[eval] the model {} has no tokenizer (spiece.model)", loaded.folder);
  const auto expect = [](const char* name, int64_t value, int64_t least) {
    if (value < least)
      fail(ErrorCode::InvalidConfig, "[eval] {} is {}, expected {} or more", name, value, least);
  };
  expect("num_shots", config.num_shots, 0);
  expect("max_examples", config.max_examples, 0);
  expect("input_length", config.input_length, 1);
  expect("max_new_tokens", config.max_new_tokens, 1);
  expect("max_batch_tokens", config.max_batch_tokens, 1);
  if (suite.tasks.empty())
    fail(ErrorCode::InvalidArgument, "[eval] the suite '{}' has no tasks", suite.name);
  std::set<std::string> names;
  for (const Task& task : suite.tasks) {
    if (task.examples.empty())
      fail(ErrorCode::InvalidArgument, "[eval] task '{}' of the suite '{}' has no examples",
           task.name, suite.name);
    if (!names.insert(task.name).second)
      fail(ErrorCode::InvalidArgument, "[eval] the suite '{}' has two tasks '{}'", suite.name,
           task.name);
  }
}

// Numbers of the task's examples by their template, or all of them under "" where templates are not
// scored.
std::map<std::string, std::vector<size_t>> group_examples(const Task& task, const Config& config) {
  std::map<std::string, std::vector<size_t>> groups;
  for (size_t i = 0; i < task.examples.size(); ++i) {
    const data::Example& example = task.examples[i];
    if (config.scores_templates && example.template_name.empty())
      fail(ErrorCode::InvalidArgument,
           "[eval] {}: scores_templates needs the template of every example, and this one has none "
           "(key 'template')",
           example.where);
    groups[config.scores_templates ? example.template_name : ""].push_back(i);
  }
  return groups;
}

// All, or `max_examples` a group drawn by the seed, in the order of the task.
std::vector<size_t> choose_examples(const Task& task,
                                    const std::map<std::string, std::vector<size_t>>& groups,
                                    const Config& config) {
  std::vector<size_t> chosen;
  for (const auto& [name, members] : groups) {
    size_t count = members.size();
    if (config.max_examples > 0) count = std::min(count, static_cast<size_t>(config.max_examples));
    // Templates of as many examples ask about the same ones.
    const Permutation order(members.size(),
                            RandomKey(static_cast<uint64_t>(config.seed), RandomPurpose::DataOrder)
                                .fold("eval")
                                .fold(task.name));
    for (size_t i = 0; i < count; ++i) chosen.push_back(members[order(i)]);
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

// Exemplars come from the example's own template, so that they do not show the example in another.
std::vector<data::Example> make_pool(const Task& task, const std::vector<size_t>& members) {
  std::vector<data::Example> pool;
  for (size_t i : members) pool.push_back(task.examples[i]);
  return pool;
}

bool is_ranked(const data::Example& example, Protocol protocol) {
  if (protocol == Protocol::RankClassification && example.choices.empty())
    fail(ErrorCode::InvalidArgument,
         "[eval] {}: rank classification needs choices, and the example has none", example.where);
  return protocol != Protocol::ExactMatch && !example.choices.empty();
}

// Where the answer to an example goes.
struct Slot {
  size_t task;
  size_t example;  // in TaskResult::correct
  const data::Example* source;
};

size_t best_of(const std::vector<Score>& scores) {
  size_t best = 0;
  for (size_t i = 1; i < scores.size(); ++i)
    if (scores[i].log_likelihood > scores[best].log_likelihood) best = i;
  return best;
}

void summarise_templates(TaskResult& task, const std::vector<std::string>& template_of) {
  std::map<std::string, std::vector<double>> correct;
  for (size_t i = 0; i < template_of.size(); ++i) correct[template_of[i]].push_back(task.scores[i]);
  std::vector<double> values;
  task.template_of.resize(template_of.size());
  for (auto& [name, answers] : correct) {
    for (size_t i = 0; i < template_of.size(); ++i)
      if (template_of[i] == name) task.template_of[i] = task.templates.size();
    double sum = 0;
    for (double value : answers) sum += value;
    values.push_back(sum / static_cast<double>(answers.size()));
    task.template_mean += values.back() / static_cast<double>(correct.size());
    task.templates.push_back({name, values.back(), std::move(answers)});
  }
  task.template_median = median(std::move(values));
}

void summarise_templates(SuiteResult& result, uint64_t seed) {
  result.scores_templates = true;
  TemplateScores scores;
  for (const TaskResult& task : result.tasks) {
    scores.emplace_back();
    for (const TemplateResult& one : task.templates) scores.back().push_back(one.scores);
    result.template_mean += task.template_mean / static_cast<double>(result.tasks.size());
  }
  const Interval interval = bootstrap_mean_of_medians(scores, seed);
  result.median_mean = mean_of_medians(scores);
  result.median_ci_low = interval.low;
  result.median_ci_high = interval.high;
}

void summarise(SuiteResult& result) {
  for (TaskResult& task : result.tasks) {
    const auto num_correct = std::count(task.scores.begin(), task.scores.end(), 1.0);
    const Interval interval = wilson_interval(num_correct, task.num_examples);
    task.value = static_cast<double>(num_correct) / static_cast<double>(task.num_examples);
    task.ci_low = interval.low;
    task.ci_high = interval.high;
    result.mean += task.value / static_cast<double>(result.tasks.size());
    result.mean_chance += task.chance / static_cast<double>(result.tasks.size());
  }
}

}  // namespace

SuiteResult evaluate(const model::LoadedModel& loaded, const Suite& suite, const Config& config,
                     at::ScalarType compute_dtype) {
  check(loaded, suite, config);
  SuiteResult result;
  result.suite = suite.name;
  result.model = loaded.folder;
  if (!loaded.folder.empty()) result.model_hash = model::folder_hash(loaded.folder);

  std::vector<Query> queries;
  std::vector<std::vector<int32_t>> prompts;
  std::vector<Slot> ranked, generated;
  std::vector<std::vector<std::string>> templates_of;  // by task, of every example that is asked
  for (const Task& task : suite.tasks) {
    TaskResult entry;
    entry.name = task.name;
    entry.cluster = task.cluster;
    double sum_of_chances = 0;
    bool has_choices = false;
    templates_of.emplace_back();
    const auto groups = group_examples(task, config);
    std::map<std::string, std::vector<data::Example>> pools;
    if (config.scores_templates && config.num_shots > 0 && task.exemplars.empty())
      for (const auto& [name, members] : groups) pools[name] = make_pool(task, members);
    const std::vector<data::Example>& common_pool =
        task.exemplars.empty() ? task.examples : task.exemplars;
    const RandomKey key =
        RandomKey(static_cast<uint64_t>(config.seed), RandomPurpose::FewShot).fold(task.name);
    for (size_t index : choose_examples(task, groups, config)) {
      const data::Example& example = task.examples[index];
      templates_of.back().push_back(example.template_name);
      entry.ids.push_back(example.id.empty() ? fmt::format("{}#{}", task.name, index) : example.id);
      const auto own_pool = pools.find(example.template_name);
      const auto& pool = own_pool == pools.end() ? common_pool : own_pool->second;
      const auto exemplars = draw_exemplars(pool, example, config.num_shots, key.fold(index));
      Prompt prompt =
          make_prompt(*loaded.tokenizer, exemplars, example.inputs, config.input_length);
      entry.num_truncated += prompt.is_truncated ? 1 : 0;
      entry.num_dropped_exemplars += prompt.num_dropped_exemplars;
      const Slot slot{result.tasks.size(), static_cast<size_t>(entry.num_examples++), &example};
      if (is_ranked(example, config.protocol)) {
        Query query;
        query.input_ids = std::move(prompt.ids);
        for (const std::string& candidate : answer_candidates(example))
          query.target_ids.push_back(loaded.tokenizer->encode_with_eos(candidate));
        queries.push_back(std::move(query));
        ranked.push_back(slot);
        has_choices = true;
        sum_of_chances += 1.0 / static_cast<double>(example.choices.size());
      } else {
        prompts.push_back(std::move(prompt.ids));
        generated.push_back(slot);
      }
    }
    entry.metric = has_choices ? "accuracy" : "exact_match";
    entry.chance = has_choices && task.chance >= 0
                       ? task.chance
                       : sum_of_chances / static_cast<double>(entry.num_examples);
    entry.scores.resize(static_cast<size_t>(entry.num_examples), 0.0);
    result.tasks.push_back(std::move(entry));
  }

  if (!queries.empty()) {
    const auto scores = score(*loaded.model, queries, compute_dtype, config.max_batch_tokens,
                              nullptr, "rank choices");
    for (size_t i = 0; i < ranked.size(); ++i) {
      const bool is_right =
          static_cast<int64_t>(best_of(scores[i])) == right_choice(*ranked[i].source);
      result.tasks[ranked[i].task].scores[ranked[i].example] = is_right ? 1.0 : 0.0;
    }
  }
  if (!prompts.empty()) {
    generate::Config greedy;
    greedy.max_new_tokens = config.max_new_tokens;
    const auto answers = generate::generate(*loaded.model, prompts, greedy, compute_dtype,
                                            config.max_batch_tokens, "generate answers");
    for (size_t i = 0; i < generated.size(); ++i) {
      const std::string answer = loaded.tokenizer->decode(answers[i][0].token_ids);
      result.tasks[generated[i].task].scores[generated[i].example] =
          is_exact_match(answer, *generated[i].source) ? 1.0 : 0.0;
    }
  }
  summarise(result);
  if (config.scores_templates) {
    for (size_t i = 0; i < result.tasks.size(); ++i)
      summarise_templates(result.tasks[i], templates_of[i]);
    summarise_templates(result, static_cast<uint64_t>(config.seed));
  }
  return result;
}

}  // namespace flanmoe::eval
