#include "study/comparison.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "base/json.h"
#include "eval/statistics/intervals.h"
#include "eval/statistics/paired_bootstrap.h"
#include "eval/statistics/template_medians.h"

namespace flanmoe::study {
namespace {

// Budgets are spent in whole steps, so "the same" allows for a little (and for a whole step where
// the recipe asked for a match).
constexpr double kFlopsTolerance = 0.03;

bool is_close(double a, double b) {
  return a > 0 && b > 0 && std::abs(a - b) <= kFlopsTolerance * std::max(a, b);
}

bool is_sparse(const Arm& arm) {
  return arm.model && arm.model->is_sparse();
}

std::vector<std::string> find_axes(const Arm& a, const Arm& b) {
  std::vector<std::string> axes;
  if (a.training.num_examples > 0 && a.training.num_examples == b.training.num_examples)
    axes.emplace_back("examples");
  const bool is_matched = (!a.matched_stage.empty() && a.matched_stage == b.model_stage) ||
                          (!b.matched_stage.empty() && b.matched_stage == a.model_stage);
  if (is_matched || is_close(a.training.train_flops, b.training.train_flops))
    axes.emplace_back("train_flops");
  if (a.model && b.model && is_close(a.model->flops_per_token(), b.model->flops_per_token()))
    axes.emplace_back("flops_per_token");
  return axes;
}

std::string axes_text(const std::vector<std::string>& axes) {
  if (axes.empty()) return "Nothing equal";
  std::vector<std::string> words;
  for (const auto& axis : axes)
    words.push_back(axis == "examples"      ? "examples"
                    : axis == "train_flops" ? "training FLOPs"
                                            : "FLOPs a token");
  return fmt::format("Same {}", fmt::join(words, " and "));
}

bool answered_the_same(const Cell& a, const Cell& b) {
  if (a.tasks.empty() || a.tasks.size() != b.tasks.size()) return false;
  for (size_t i = 0; i < a.tasks.size(); ++i)
    if (a.tasks[i].name != b.tasks[i].name || a.tasks[i].scores.empty() ||
        a.tasks[i].scores.size() != b.tasks[i].scores.size())
      return false;
  return true;
}

std::vector<std::vector<double>> correct_of(const Cell& cell) {
  std::vector<std::vector<double>> correct;
  for (const auto& task : cell.tasks) correct.push_back(task.scores);
  return correct;
}

bool share_replicates(const Cell& a, const Cell& b) {
  return a.by_replicate.size() > 1 &&
         std::equal(a.by_replicate.begin(), a.by_replicate.end(), b.by_replicate.begin(),
                    b.by_replicate.end(),
                    [](const auto& x, const auto& y) { return x.first == y.first; });
}

bool is_comparable(const Cell& a, const Cell& b) {
  if (a.by_replicate.size() > 1 || b.by_replicate.size() > 1) return share_replicates(a, b);
  if (!answered_the_same(a, b)) return false;
  for (size_t i = 0; a.is_median && i < a.tasks.size(); ++i) {
    const auto &x = a.tasks[i].templates, &y = b.tasks[i].templates;
    if (!std::equal(x.begin(), x.end(), y.begin(), y.end(),
                    [](const auto& s, const auto& t) { return s.size() == t.size(); }))
      return false;
  }
  return true;
}

eval::TemplateScores templates_of(const Cell& cell) {
  eval::TemplateScores scores;
  for (const auto& task : cell.tasks) scores.push_back(task.templates);
  return scores;
}

eval::PairedDifference compute_difference(const Cell& a, const Cell& b, uint64_t seed) {
  if (share_replicates(a, b)) {
    std::vector<double> differences;
    for (const auto& [replicate, value] : a.by_replicate)
      differences.push_back(value - b.by_replicate.at(replicate));
    const auto result = eval::t_interval(differences);
    return {result.mean, result.ci95};
  }
  if (a.is_median) return eval::paired_bootstrap_of_medians(templates_of(a), templates_of(b), seed);
  return eval::paired_bootstrap_over_tasks(correct_of(a), correct_of(b), seed);
}

void compare_pair(const Results& results, const Arm& first, const Arm& second,
                  std::vector<Comparison>& comparisons) {
  for (const auto& column : results.columns) {
    const auto a = first.cells.find(column.id), b = second.cells.find(column.id);
    if (a == first.cells.end() || b == second.cells.end() || !is_comparable(a->second, b->second))
      continue;
    const auto paired =
        compute_difference(a->second, b->second, static_cast<uint64_t>(results.seed));
    Comparison comparison{.column = column.title,
                          .first = first.name,
                          .second = second.name,
                          .axes = find_axes(first, second),
                          .first_value = a->second.value,
                          .second_value = b->second.value,
                          .difference = paired.difference,
                          .ci_low = paired.ci95.low,
                          .ci_high = paired.ci95.high};
    if (share_replicates(a->second, b->second))
      comparison.num_replicates = static_cast<int64_t>(a->second.by_replicate.size());
    if (paired.ci95.low > 0) comparison.verdict = Verdict::FirstWins;
    if (paired.ci95.high < 0) comparison.verdict = Verdict::SecondWins;
    comparisons.push_back(std::move(comparison));
  }
}

}  // namespace

std::vector<Comparison> compare_arms(const Results& results) {
  std::vector<Comparison> comparisons;
  for (const auto& [first, second] : results.comparisons) {
    const Arm *a = results.find_arm(first), *b = results.find_arm(second);
    if (a && b) compare_pair(results, *a, *b, comparisons);
  }
  if (!results.comparisons.empty()) return comparisons;
  for (const auto& first : results.arms)
    for (const auto& second : results.arms)
      if (is_sparse(first) && !is_sparse(second)) compare_pair(results, first, second, comparisons);
  const bool is_mixed = !comparisons.empty();
  for (size_t i = 1; i < results.arms.size() && !is_mixed; ++i)
    compare_pair(results, results.arms[i], results.arms[0], comparisons);
  return comparisons;
}

std::string to_sentence(const Comparison& c) {
  const bool is_decided = c.verdict != Verdict::Undecided;
  const std::string outcome =
      is_decided ? (c.verdict == Verdict::FirstWins ? c.first : c.second) + " wins" : "undecided";
  return fmt::format(
      "{}, {}: {} {:.1f} % against {} {:.1f} %, difference {:+.1f} points, 95 % interval{} "
      "[{:+.1f}, "
      "{:+.1f}] {} zero: {}.",
      axes_text(c.axes), c.column, c.first, 100 * c.first_value, c.second, 100 * c.second_value,
      100 * c.difference,
      c.num_replicates > 1 ? fmt::format(" over {} seeds", c.num_replicates) : "", 100 * c.ci_low,
      100 * c.ci_high, is_decided ? "excludes" : "includes", outcome);
}

std::vector<std::string> describe_chance(const Results& results) {
  std::vector<std::string> sentences;
  for (const auto& column : results.columns) {
    std::vector<std::string> above, level, below;
    double chance = 0;
    for (const auto& arm : results.arms) {
      const auto cell = arm.cells.find(column.id);
      if (cell == arm.cells.end() || cell->second.chance <= 0) continue;
      chance = cell->second.chance;
      (cell->second.ci_low > chance    ? above
       : cell->second.ci_high < chance ? below
                                       : level)
          .push_back(arm.name);
    }
    std::vector<std::string> parts;
    if (!above.empty()) parts.push_back(fmt::format("above it: {}", fmt::join(above, ", ")));
    if (!level.empty())
      parts.push_back(fmt::format("not to be told from it: {}", fmt::join(level, ", ")));
    if (!below.empty()) parts.push_back(fmt::format("below it: {}", fmt::join(below, ", ")));
    if (!parts.empty())
      sentences.push_back(fmt::format("Chance on {} is {:.1f} %; {}.", column.title, 100 * chance,
                                      fmt::join(parts, "; ")));
  }
  return sentences;
}

Json to_json(const Comparison& c) {
  return {{"suite", c.column},
          {"first", c.first},
          {"second", c.second},
          {"axes", c.axes},
          {"difference", c.difference},
          {"ci95", {c.ci_low, c.ci_high}},
          {"num_seeds", c.num_replicates},
          {"excludes_zero", c.verdict != Verdict::Undecided},
          {"winner", c.verdict == Verdict::Undecided   ? ""
                     : c.verdict == Verdict::FirstWins ? c.first
                                                       : c.second}};
}

}  // namespace flanmoe::study
