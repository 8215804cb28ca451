// Two models on one suite: who wins where, by how much, with what certainty. Examples are paired by
// their ids; a model may have several evaluations, one for each seed it was trained with.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "eval/result.h"
#include "eval/statistics/intervals.h"

namespace flanmoe::eval {

// What an evaluation wrote.
struct Evaluation {
  SuiteResult result;
  Json settings;     // its "config"
  std::string path;  // for messages
};
// Throws NotFound, Io or CorruptFile.
Evaluation load_evaluation(const std::string& path);

enum class Winner { A, B, Open };

// A task, a category or the suite. Values are shares of 1 over the examples that are paired.
struct ComparedValue {
  std::string name, metric;   // metric: of a task
  std::vector<size_t> tasks;  // which of them it is the mean of
  int64_t num_examples = 0;
  double a = 0, b = 0, difference = 0;  // a - b
  Interval ci95{};                      // of the difference
  double p = 1;                         // two-sided, of "no difference"
  double corrected_p = 1;               // after Holm over the tasks, or over the categories
  std::string test;  // "mcnemar-exact", "mcnemar-chi-square", "permutation-exact", "permutation" or
                     // "seeds"
  Winner winner = Winner::Open;  // decided where corrected_p < 0.05
};

struct LeftOut {
  std::string task;
  int64_t num_examples_a = 0, num_examples_b = 0;  // that the other side has not
};

struct Comparison {
  std::string suite;
  std::vector<std::string> models_a, models_b;  // one a seed
  std::vector<ComparedValue> tasks, categories;
  ComparedValue mean;                               // over tasks, each as much as another
  std::vector<LeftOut> skipped;                     // examples of one side only
  std::vector<std::string> tasks_of_a, tasks_of_b;  // of one side only
  std::vector<std::string> warnings;
};

// One evaluation a side: a task of scores that are all 0 or 1 gets Tango's interval and McNemar's
// test, other tasks a paired bootstrap and a permutation test, categories and the suite the same
// over their tasks. Several: the hierarchical bootstrap over seeds and examples, and Student's t
// over seeds beside it; the interval reaches as far as either, the p-value is the larger one
// (docs/evaluation.md). A question that was asked with several templates is one example, whose
// score is the mean over them. With as many on both sides the first of A belongs to the first of B.
//
// Throws InvalidArgument where the suites or a task's metric differ, where a task has nothing in
// common or an id twice, where no task is on both sides, and where one evaluation is given twice.
// Other settings that differ are warnings.
Comparison compare(const std::vector<Evaluation>& a, const std::vector<Evaluation>& b,
                   uint64_t seed = 0, int64_t num_resamples = 10000);

// The table, in per cent and points; what is left out; the sentence.
std::string format_comparison(const Comparison& comparison);
std::string to_sentence(const Comparison& comparison);
Json to_json(const Comparison& comparison);

}  // namespace flanmoe::eval
