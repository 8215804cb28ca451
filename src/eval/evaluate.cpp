#include "eval/evaluate.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <set>

#include "base/error.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/random.h"
#include "data/jsonl.h"
#include "eval/extraction/extraction.h"
#include "eval/metrics/metric.h"
#include "eval/outcome.h"
#include "eval/prompt.h"
#include "eval/scoring.h"
#include "eval/statistics/bootstrap.h"
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
  expect("num_shots", config.num_shots.value_or(0), 0);
  expect("max_examples", config.max_examples, 0);
  expect("input_length", config.input_length, 1);
  expect("max_new_tokens", config.max_new_tokens.value_or(1), 1);
  expect("num_samples", config.num_samples.value_or(1), 1);
  expect("max_batch_tokens", config.max_batch_tokens, 1);
  if (suite.tasks.empty())
    fail(ErrorCode::InvalidArgument, "[eval] the suite '{}' has no tasks{}", suite.name,
         suite.missing.empty() ? "" : ": " + suite.missing.front().reason);
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
std::map<std::string, std::vector<size_t>> group_examples(const Task& task, bool by_template) {
  std::map<std::string, std::vector<size_t>> groups;
  for (size_t i = 0; i < task.examples.size(); ++i) {
    const data::Example& example = task.examples[i];
    if (by_template && example.template_name.empty())
      fail(ErrorCode::InvalidArgument,
           "[eval] {}: scores_templates needs the template of every example, and this one has none "
           "(key 'template')",
           example.where);
    groups[by_template ? example.template_name : ""].push_back(i);
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

// What the suite says, and what the call says in its place.
Protocol settle(const Protocol& of_suite, const Config& config) {
  Protocol protocol = of_suite;
  if (config.method) protocol.method = *config.method;
  if (config.choice_score) protocol.choice_score = *config.choice_score;
  if (config.num_shots) protocol.num_shots = *config.num_shots;
  if (config.max_new_tokens) protocol.max_new_tokens = *config.max_new_tokens;
  if (config.answer_form) protocol.answer_form = *config.answer_form;
  if (config.num_beams) protocol.num_beams = *config.num_beams;
  if (config.num_samples) protocol.num_samples = *config.num_samples;
  if (config.leaves_out_eos) protocol.leaves_out_eos = *config.leaves_out_eos;
  return protocol;
}

// A task as it is asked.
struct Plan {
  const Task* task;
  Protocol protocol;
  std::vector<size_t> chosen;                               // numbers of its examples
  std::map<std::string, std::vector<data::Example>> pools;  // of exemplars, by template
};

bool is_ranked(const data::Example& example, Method method) {
  if (method == Method::RankClassification && example.choices.empty())
    fail(ErrorCode::InvalidArgument,
         "[eval] {}: rank classification needs choices, and the example has none", example.where);
  return method != Method::Generation && !example.choices.empty();
}

// What is right, so that a broken line is found before anything is computed.
std::vector<std::string> find_references(const data::Example& example, AnswerForm form) {
  if (!example.choices.empty() && form != AnswerForm::Auto)
    return {answer_candidates(example, form)[static_cast<size_t>(right_choice(example))]};
  if (!example.references.empty()) return example.references;
  if (example.targets.empty())
    fail(ErrorCode::InvalidArgument, "[eval] {}: 'targets' is empty, and there are no references",
         example.where);
  return {example.targets};
}

class Evaluation {
 public:
  Evaluation(const model::LoadedModel& loaded, const Suite& suite, const Config& config,
             at::ScalarType compute_dtype)
      : loaded_(loaded),
        config_(config),
        compute_dtype_(compute_dtype),
        by_template_(config.scores_templates || suite.scores_templates) {
    for (const Task& task : suite.tasks) {
      Plan plan{&task, settle(task.protocol, config), {}, {}};
      const auto groups = group_examples(task, by_template_);
      plan.chosen = choose_examples(task, groups, config);
      if (by_template_ && plan.protocol.num_shots > 0 && task.exemplars.empty())
        for (const auto& [name, members] : groups) plan.pools[name] = make_pool(task, members);
      for (const size_t index : plan.chosen) {
        const data::Example& example = task.examples[index];
        if (is_ranked(example, plan.protocol.method))
          (void)answer_candidates(example, plan.protocol.answer_form);
        else
          (void)find_references(example, plan.protocol.answer_form);
        order_.push_back({plans_.size(), index});
      }
      (void)make_metric(metric_of(plan));
      check_extraction_rules(plan.protocol.extraction);
      plans_.push_back(std::move(plan));
    }
  }

  const std::vector<Plan>& plans() const { return plans_; }
  size_t num_examples() const { return order_.size(); }
  bool by_template() const { return by_template_; }

  // Changes with whatever changes an outcome.
  std::string key(const SuiteResult& result) const {
    Hasher hasher;
    hasher.add(result.model_hash).add(result.suite);
    hasher.add(flanmoe::to_json(to_config_node(config_)).dump());
    hasher.add(std::to_string(static_cast<int>(compute_dtype_)));
    for (const Plan& plan : plans_) {
      hasher.add(flanmoe::to_json(to_config_node(plan.protocol)).dump());
      for (const data::Example& exemplar : plan.task->exemplars)
        hasher.add(exemplar.inputs).add(exemplar.targets);
    }
    for (const auto& [plan, index] : order_)
      hasher.add(data::to_json(plans_[plan].task->examples[index]).dump());
    return hasher.hex();
  }

  // Of the examples first .. first + count of the suite.
  std::vector<Outcome> run(size_t first, size_t count) {
    std::vector<Outcome> outcomes(count);
    std::vector<Query> queries;
    std::vector<size_t> ranked;                            // numbers in `outcomes`
    std::map<std::string, std::vector<size_t>> generated;  // by the settings of generation
    std::vector<std::vector<int32_t>> prompts(count);
    for (size_t i = 0; i < count; ++i) {
      const auto& [plan, index] = order_[first + i];
      const data::Example& example = plans_[plan].task->examples[index];
      const Protocol& protocol = plans_[plan].protocol;
      Outcome& outcome = outcomes[i];
      Prompt prompt = ask(plans_[plan], index);
      outcome.task = plans_[plan].task->name;
      outcome.id = example.id.empty() ? fmt::format("{}#{}", outcome.task, index) : example.id;
      outcome.template_name = example.template_name;
      outcome.prompt_hash = hash_of(prompt.ids);
      outcome.is_truncated = prompt.is_truncated;
      outcome.num_dropped_exemplars = prompt.num_dropped_exemplars;
      if (is_ranked(example, protocol.method)) {
        Query query;
        query.input_ids = std::move(prompt.ids);
        for (const std::string& candidate : answer_candidates(example, protocol.answer_form))
          query.target_ids.push_back(loaded_.tokenizer->encode_with_eos(candidate));
        queries.push_back(std::move(query));
        ranked.push_back(i);
      } else {
        outcome.references = find_references(example, protocol.answer_form);
        generated[fmt::format("{} {} {} {}", protocol.max_new_tokens, protocol.num_beams,
                              protocol.num_samples, protocol.temperature)]
            .push_back(i);
        prompts[i] = std::move(prompt.ids);
      }
    }
    rank(first, queries, ranked, outcomes);
    for (const auto& [settings, members] : generated) generate(first, members, prompts, outcomes);
    return outcomes;
  }

  std::string metric_of(const Plan& plan) const {
    if (!plan.protocol.metric.empty()) return plan.protocol.metric;
    const bool any_ranked = std::any_of(plan.chosen.begin(), plan.chosen.end(), [&](size_t index) {
      return is_ranked(plan.task->examples[index], plan.protocol.method);
    });
    return any_ranked ? "accuracy" : "exact_match";
  }

 private:
  Prompt ask(const Plan& plan, size_t index) const {
    const data::Example& example = plan.task->examples[index];
    const Protocol& protocol = plan.protocol;
    std::vector<const data::Example*> exemplars;
    if (!plan.task->exemplars.empty() && !protocol.exemplars.is_drawn) {
      exemplars = take_exemplars(plan.task->exemplars, protocol.num_shots);
    } else {
      const auto own = plan.pools.find(example.template_name);
      const auto& pool = own != plan.pools.end()        ? own->second
                         : plan.task->exemplars.empty() ? plan.task->examples
                                                        : plan.task->exemplars;
      const RandomKey key = RandomKey(static_cast<uint64_t>(config_.seed), RandomPurpose::FewShot)
                                .fold(plan.task->name);
      exemplars = draw_exemplars(pool, example, protocol.num_shots, key.fold(index));
    }
    return make_prompt(*loaded_.tokenizer, protocol.layout, exemplars, example,
                       config_.input_length);
  }

  static std::string hash_of(const std::vector<int32_t>& ids) {
    return hash_text({reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int32_t)});
  }

  // Log-likelihoods of every candidate after an empty input: what PMI takes away.
  std::map<std::vector<int32_t>, double> score_unconditionally(const std::vector<Query>& queries,
                                                               const std::vector<size_t>& ranked,
                                                               size_t first, bool leaves_out_eos) {
    std::set<std::vector<int32_t>> candidates;
    for (size_t i = 0; i < queries.size(); ++i)
      if (protocol_of(first + ranked[i]).choice_score == ChoiceScore::Pmi)
        candidates.insert(queries[i].target_ids.begin(), queries[i].target_ids.end());
    constexpr size_t kTargets = 16;  // a query
    std::vector<Query> empty;
    for (const auto& candidate : candidates) {
      if (empty.empty() || empty.back().target_ids.size() == kTargets)
        empty.push_back({{text::Tokenizer::kEosId}, {}});
      empty.back().target_ids.push_back(candidate);
    }
    std::map<std::vector<int32_t>, double> found;
    const auto scores = score(*loaded_.model, empty, compute_dtype_, config_.max_batch_tokens,
                              nullptr, "", options(leaves_out_eos));
    for (size_t q = 0; q < empty.size(); ++q)
      for (size_t t = 0; t < empty[q].target_ids.size(); ++t)
        found[empty[q].target_ids[t]] = scores[q][t].log_likelihood;
    return found;
  }

  const Protocol& protocol_of(size_t number) const { return plans_[order_[number].plan].protocol; }

  ScoreOptions options(bool leaves_out_eos, std::vector<ExpertUsage>* usage = nullptr) const {
    return {.uses_capacity = config_.uses_capacity,
            .leaves_out_eos = leaves_out_eos,
            .expert_usage = is_sparse() ? usage : nullptr};
  }
  bool is_sparse() const { return loaded_.model->config().is_sparse(); }

  // Queries of one setting at a time.
  void rank(size_t first, std::vector<Query>& queries, const std::vector<size_t>& ranked,
            std::vector<Outcome>& outcomes) {
    for (const bool leaves_out_eos : {false, true}) {
      std::vector<Query> some;
      std::vector<size_t> numbers;
      for (size_t i = 0; i < ranked.size(); ++i)
        if (protocol_of(first + ranked[i]).leaves_out_eos == leaves_out_eos) {
          some.push_back(std::move(queries[i]));
          numbers.push_back(ranked[i]);
        }
      if (!some.empty()) rank_alike(first, some, numbers, leaves_out_eos, outcomes);
    }
  }

  void rank_alike(size_t first, const std::vector<Query>& queries,
                  const std::vector<size_t>& ranked, bool leaves_out_eos,
                  std::vector<Outcome>& outcomes) {
    const auto unconditional = score_unconditionally(queries, ranked, first, leaves_out_eos);
    std::vector<ExpertUsage> usage;
    const auto scores = score(*loaded_.model, queries, compute_dtype_, config_.max_batch_tokens,
                              nullptr, "rank choices", options(leaves_out_eos, &usage));
    for (size_t i = 0; i < ranked.size(); ++i) {
      const auto& [plan, index] = order_[first + ranked[i]];
      const data::Example& example = plans_[plan].task->examples[index];
      const Protocol& protocol = plans_[plan].protocol;
      const std::vector<std::string> candidates = answer_candidates(example, protocol.answer_form);
      Outcome& outcome = outcomes[ranked[i]];
      for (size_t c = 0; c < candidates.size(); ++c) {
        double value = scores[i][c].log_likelihood;
        if (protocol.choice_score == ChoiceScore::PerToken)
          value /= static_cast<double>(std::max<int64_t>(1, scores[i][c].num_tokens));
        if (protocol.choice_score == ChoiceScore::PerCharacter)
          value /= static_cast<double>(std::max<size_t>(1, count_characters(candidates[c])));
        if (protocol.choice_score == ChoiceScore::Pmi)
          value -= unconditional.at(queries[i].target_ids[c]);
        outcome.log_likelihoods.push_back(value);
      }
      const size_t best = static_cast<size_t>(
          std::max_element(outcome.log_likelihoods.begin(), outcome.log_likelihoods.end()) -
          outcome.log_likelihoods.begin());
      outcome.right_choice = right_choice(example);
      if (!usage.empty()) outcome.experts = find_top_experts(usage[i]);
      const auto right = static_cast<size_t>(outcome.right_choice);
      outcome.prediction = candidates[best];
      // two choices may read the same
      const bool is_unique =
          std::set<std::string>(candidates.begin(), candidates.end()).size() == candidates.size();
      outcome.answer = is_unique ? candidates[best] : std::to_string(best);
      outcome.references = {is_unique ? candidates[right] : std::to_string(right)};
    }
  }

  void generate(size_t first, const std::vector<size_t>& members,
                const std::vector<std::vector<int32_t>>& prompts, std::vector<Outcome>& outcomes) {
    const Protocol& settings = protocol_of(first + members.front());
    generate::Config generation;
    generation.max_new_tokens = settings.max_new_tokens;
    generation.num_beams = settings.num_beams;
    generation.uses_capacity = config_.uses_capacity;
    if (settings.num_samples > 1) {
      generation.do_sample = true;
      generation.num_samples = settings.num_samples;
      generation.temperature = settings.temperature;
      generation.sampling_seed = config_.seed;
    }
    std::vector<std::vector<int32_t>> rows;
    for (const size_t member : members) rows.push_back(prompts[member]);
    auto answers = generate::generate(*loaded_.model, rows, generation, compute_dtype_,
                                      config_.max_batch_tokens, "generate answers");
    std::vector<Query> generated;  // for the experts that it took
    for (size_t i = 0; i < members.size(); ++i) {
      Outcome& outcome = outcomes[members[i]];
      const Protocol& protocol = protocol_of(first + members[i]);
      std::vector<std::string> texts, found;
      for (const auto& hypothesis : answers[i]) {
        texts.push_back(loaded_.tokenizer->decode(hypothesis.token_ids));
        found.push_back(extract_answer(texts.back(), protocol.extraction));
      }
      const size_t voted = vote(found);
      outcome.prediction = texts[voted];
      outcome.answer = found[voted];
      if (found.size() > 1) outcome.samples = std::move(found);
      if (is_sparse())
        generated.push_back({prompts[members[i]], {std::move(answers[i][voted].token_ids)}});
    }
    if (generated.empty()) return;
    std::vector<ExpertUsage> usage;
    score(*loaded_.model, generated, compute_dtype_, config_.max_batch_tokens, nullptr,
          "find experts", options(false, &usage));
    for (size_t i = 0; i < members.size(); ++i)
      outcomes[members[i]].experts = find_top_experts(usage[i]);
  }

  // The first of the answers that are given most often (self-consistency, arXiv 2203.11171).
  static size_t vote(const std::vector<std::string>& answers) {
    size_t best = 0;
    int64_t most = 0;
    for (size_t i = 0; i < answers.size(); ++i) {
      const auto count = std::count(answers.begin(), answers.end(), answers[i]);
      if (count > most) {
        best = i;
        most = count;
      }
    }
    return best;
  }

  static size_t count_characters(const std::string& text) {
    return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
      return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u;
    }));
  }

  struct Place {
    size_t plan, example;
  };
  const model::LoadedModel& loaded_;
  const Config& config_;
  at::ScalarType compute_dtype_;
  bool by_template_;
  std::vector<Plan> plans_;
  std::vector<Place> order_;
};

// What differs from the defaults.
Json describe(const Protocol& protocol) {
  Json json = flanmoe::to_json(to_config_node(protocol));
  const Json defaults = flanmoe::to_json(to_config_node(Protocol{}));
  for (const auto& [key, value] : defaults.items())
    if (json.at(key) == value) json.erase(key);
  return json;
}

// Values of a task on examples that are drawn anew: [resample].
using Resamples = std::vector<double>;
constexpr int64_t kResamples = 2000;

// A value over the task's outcomes, with its interval. Fills in their scores, and the value on
// examples that are drawn anew.
TaskResult judge(const Plan& plan, const std::string& metric_name, bool by_template,
                 Outcome* outcomes, uint64_t seed, Resamples& resamples) {
  TaskResult result;
  result.name = plan.task->name;
  result.cluster = plan.task->cluster;
  result.group = plan.protocol.group;
  result.metric = metric_name;
  result.num_examples = static_cast<int64_t>(plan.chosen.size());
  const auto metric = make_metric(metric_name);
  double sum_of_chances = 0;
  for (size_t i = 0; i < plan.chosen.size(); ++i) {
    metric->add(outcomes[i].answer, outcomes[i].references);
    const size_t num_choices = plan.task->examples[plan.chosen[i]].choices.size();
    if (num_choices > 0) sum_of_chances += 1.0 / static_cast<double>(num_choices);
  }
  bool is_right_or_wrong = metric->is_mean();
  for (size_t i = 0; i < plan.chosen.size(); ++i) {
    outcomes[i].score = metric->value_of(i);
    result.scores.push_back(outcomes[i].score);
    result.ids.push_back(outcomes[i].id);
    result.num_truncated += outcomes[i].is_truncated ? 1 : 0;
    result.num_dropped_exemplars += outcomes[i].num_dropped_exemplars;
    is_right_or_wrong &= outcomes[i].score == 0 || outcomes[i].score == 1;
  }
  result.value = metric->value();
  const auto num_correct = std::count(result.scores.begin(), result.scores.end(), 1.0);
  const RandomKey key = RandomKey(seed, RandomPurpose::Bootstrap).fold("eval").fold(result.name);
  // What is drawn: examples, or, where they are asked with several templates, questions.
  std::map<std::string, std::vector<size_t>> questions;
  for (size_t i = 0; i < plan.chosen.size(); ++i)
    questions[by_template ? outcomes[i].id : fmt::format("{:012}", i)].push_back(i);
  std::vector<const std::vector<size_t>*> units;
  for (const auto& [id, members] : questions) units.push_back(&members);
  for (int64_t r = 0; r < kResamples; ++r) {
    RandomStream random(key.fold(static_cast<uint64_t>(r)));
    std::vector<size_t> drawn;
    for (size_t u = 0; u < units.size(); ++u) {
      const std::vector<size_t>& unit = *units[random.below(units.size())];
      drawn.insert(drawn.end(), unit.begin(), unit.end());
    }
    resamples.push_back(metric->value_over(drawn));
  }
  const Interval interval = is_right_or_wrong && !by_template
                                ? wilson_interval(num_correct, result.num_examples)
                                : percentile_interval(resamples);
  result.ci_low = interval.low;
  result.ci_high = interval.high;
  result.chance = plan.task->chance >= 0
                      ? plan.task->chance
                      : sum_of_chances / static_cast<double>(result.num_examples);
  return result;
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

struct MeanOfTasks {
  double value = 0, chance = 0;
  Interval interval{};
};
// Over tasks, where those of one group count as one.
MeanOfTasks mean_of_tasks(const std::vector<TaskResult>& tasks,
                          const std::vector<Resamples>& resamples,
                          const std::vector<size_t>& members) {
  std::vector<const TaskResult*> chosen;
  for (const size_t i : members) chosen.push_back(&tasks[i]);
  const std::vector<double> weights = weights_in_mean(chosen);
  MeanOfTasks mean;
  Resamples means(static_cast<size_t>(kResamples), 0.0);
  for (size_t m = 0; m < members.size(); ++m) {
    mean.value += chosen[m]->value * weights[m];
    mean.chance += chosen[m]->chance * weights[m];
    for (size_t r = 0; r < means.size(); ++r) means[r] += resamples[members[m]][r] * weights[m];
  }
  mean.interval = percentile_interval(std::move(means));
  if (mean.interval.low < mean.interval.high) return mean;
  // All right or all wrong: nothing is drawn but the same, and Wilson's knows better.
  int64_t num_examples = 0;
  for (const size_t i : members) num_examples += tasks[i].num_examples;
  if (mean.value == 0 || mean.value == 1)
    mean.interval = wilson_interval(mean.value == 0 ? 0 : num_examples, num_examples);
  return mean;
}

// Means over all tasks and over those of each category, with intervals over examples.
void summarise_tasks(SuiteResult& result, const std::vector<Resamples>& resamples) {
  std::vector<size_t> all;
  std::map<std::string, std::vector<size_t>> by_category;
  for (size_t i = 0; i < result.tasks.size(); ++i) {
    all.push_back(i);
    if (!result.tasks[i].cluster.empty()) by_category[result.tasks[i].cluster].push_back(i);
  }
  const MeanOfTasks of_all = mean_of_tasks(result.tasks, resamples, all);
  result.mean = of_all.value;
  result.mean_chance = of_all.chance;
  result.mean_ci_low = of_all.interval.low;
  result.mean_ci_high = of_all.interval.high;
  for (const auto& [name, members] : by_category) {
    const MeanOfTasks mean = mean_of_tasks(result.tasks, resamples, members);
    result.categories.push_back({name, static_cast<int64_t>(members.size()), mean.value,
                                 mean.interval.low, mean.interval.high});
  }
}

}  // namespace

SuiteResult evaluate(const model::LoadedModel& loaded, const Suite& suite, const Config& config,
                     at::ScalarType compute_dtype, const std::string& examples_path) {
  check(loaded, suite, config);
  SuiteResult result;
  result.suite = suite.name;
  result.model = loaded.folder;
  if (!loaded.folder.empty()) result.model_hash = model::folder_hash(loaded.folder);
  for (const MissingTask& task : suite.missing) result.missing.push_back({task.name, task.reason});

  // What is written at a time, and lost at most when the program is stopped.
  constexpr size_t kPart = 1000;
  Evaluation evaluation(loaded, suite, config, compute_dtype);
  std::vector<Outcome> outcomes;
  std::unique_ptr<OutcomeLog> log;
  if (!examples_path.empty()) {
    log = std::make_unique<OutcomeLog>(examples_path, evaluation.key(result), kPart,
                                       evaluation.num_examples());
    outcomes = log->found();
  }
  while (outcomes.size() < evaluation.num_examples()) {
    const size_t count = std::min(kPart, evaluation.num_examples() - outcomes.size());
    std::vector<Outcome> part = evaluation.run(outcomes.size(), count);
    if (log) log->append(part);
    std::move(part.begin(), part.end(), std::back_inserter(outcomes));
  }

  const auto seed = static_cast<uint64_t>(config.seed);
  size_t first = 0;
  std::vector<Resamples> resamples;
  for (const Plan& plan : evaluation.plans()) {
    TaskResult task = judge(plan, evaluation.metric_of(plan), evaluation.by_template(),
                            outcomes.data() + first, seed, resamples.emplace_back());
    task.protocol = describe(plan.protocol);
    if (evaluation.by_template()) {
      std::vector<std::string> template_of;
      for (size_t i = 0; i < plan.chosen.size(); ++i)
        template_of.push_back(outcomes[first + i].template_name);
      summarise_templates(task, template_of);
    }
    first += plan.chosen.size();
    result.tasks.push_back(std::move(task));
  }
  summarise_tasks(result, resamples);
  if (evaluation.by_template()) summarise_templates(result, seed);
  if (log) log->finish(outcomes);
  return result;
}

}  // namespace flanmoe::eval
