#include "study/table.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/json.h"
#include "study/comparison.h"
#include "study/planted_run.h"
#include "support/expect_error.h"

namespace flanmoe::study {
namespace {

TEST(Grid, AlignsColumnsAndKeepsLinesTight) {
  EXPECT_EQ(format_grid({{"a", "long header"}, {"näme", "1"}, {"b", "22"}}),
            "a     long header\n"
            "-----------------\n"
            "näme            1\n"
            "b              22\n");
}

TEST(Grid, ShortRowsAreLegal) {
  EXPECT_EQ(format_grid({{"a", "b"}, {"x"}}), "a  b\n----\nx\n");
}

TEST(Flops, HaveThreeDigitsAndAUnit) {
  EXPECT_EQ(format_flops(0), "0");
  EXPECT_EQ(format_flops(999), "999");
  EXPECT_EQ(format_flops(1234), "1.23 k");
  EXPECT_EQ(format_flops(1.2e13), "12.0 T");
  EXPECT_EQ(format_flops(999.9e9), "1.00 T");
}

TEST(Cell, IsTheMeanOverTasksWhateverTheirSize) {
  TaskScore small = planted_task("small", 100);
  small.correct.resize(10);
  const Cell cell = make_cell({small, planted_task("large", 50)}, 1);
  EXPECT_DOUBLE_EQ(cell.value, 0.75);
  EXPECT_LT(cell.ci_low, 0.75);
  EXPECT_GT(cell.ci_high, 0.75);
  EXPECT_GT(cell.ci_low, 0.65);
}

TEST(Cell, AllRightIsNotCertain) {
  const Cell cell = make_cell({planted_task("one", 100)}, 1);
  EXPECT_EQ(cell.value, 1.0);
  EXPECT_LT(cell.ci_low, 0.99);
}

const Comparison* find(const std::vector<Comparison>& comparisons, const std::string& first,
                       const std::string& second) {
  for (const auto& c : comparisons)
    if (c.first == first && c.second == second) return &c;
  return nullptr;
}

TEST(Comparison, SaysWhoWonOnWhichAxis) {
  const auto comparisons = compare_arms(planted_results(80, 50, 100));
  ASSERT_EQ(comparisons.size(), 2u);
  const Comparison* win = find(comparisons, "moe", "dense");
  ASSERT_TRUE(win);
  EXPECT_EQ(win->verdict, Verdict::FirstWins);
  EXPECT_EQ(win->axes, std::vector<std::string>{"examples"});
  EXPECT_CONTAINS(
      to_sentence(*win),
      "Same examples, the suite: moe 80.0 % against dense 50.0 %, difference +30.0 points");
  EXPECT_CONTAINS(to_sentence(*win), "excludes zero: moe wins.");
  const Comparison* loss = find(comparisons, "moe", "dense-flops");
  ASSERT_TRUE(loss);
  EXPECT_EQ(loss->verdict, Verdict::SecondWins);
  EXPECT_EQ(loss->axes, std::vector<std::string>{"train_flops"});
  EXPECT_CONTAINS(to_sentence(*loss), "difference -20.0 points");
  EXPECT_CONTAINS(to_sentence(*loss), "excludes zero: dense-flops wins.");
}

TEST(Comparison, IsUndecidedWhereTheIntervalHoldsZero) {
  Results results = planted_results(80, 80, 80);
  // as many right, others right: the pairs differ, their mean does not
  for (auto& task : results.arms[0].cells["suite"].tasks)
    std::reverse(task.correct.begin(), task.correct.end());
  for (const auto& comparison : compare_arms(results)) {
    EXPECT_EQ(comparison.verdict, Verdict::Undecided);
    EXPECT_CONTAINS(to_sentence(comparison), "includes zero: undecided.");
  }
}

TEST(Comparison, LeavesOutArmsThatAnsweredOtherExamples) {
  Results results = planted_results(80, 50, 50);
  results.arms[0].cells["suite"].tasks[0].name = "other";
  results.arms[2].cells["suite"].tasks[0].correct.pop_back();
  EXPECT_TRUE(compare_arms(results).empty());
}

TEST(Comparison, ArmsOfOneKindAreComparedWithTheFirst) {
  Results results = planted_results(80, 50, 60);
  results.arms.erase(results.arms.begin() + 1);
  const auto comparisons = compare_arms(results);
  ASSERT_EQ(comparisons.size(), 1u);
  EXPECT_EQ(comparisons[0].first, "dense-flops");
  EXPECT_CONTAINS(to_sentence(comparisons[0]), "Same FLOPs a token");
}

TEST(Chance, IsToldFromWhatIsAboveIt) {
  const auto sentences = describe_chance(planted_results(80, 50, 20));
  ASSERT_EQ(sentences.size(), 1u);
  EXPECT_EQ(sentences[0],
            "Chance on the suite is 50.0 %; above it: moe; not to be told from it: dense; below "
            "it: dense-flops.");
}

TEST(Summary, HoldsEveryArmAndFigure) {
  const std::string text = format_summary(planted_results(80, 50, 60));
  for (const char* part : {"the suite", "dense-flops", "80.0 [", "chance", "4.00 M", "1.20 M",
                           "1.20 T", "640", "1 min 5 s"})
    EXPECT_CONTAINS(text, part);
  const Json json = to_json(planted_results(80, 50, 60));
  EXPECT_EQ(json["arms"]["moe"]["suites"]["the suite"]["value"], 0.8);
  EXPECT_EQ(json["comparisons"][0]["winner"], "moe");
}

}  // namespace
}  // namespace flanmoe::study
