#include "base/progress.h"

#include <gtest/gtest.h>

namespace flanmoe {
namespace {

const ProgressLine kLine{.label = "tune",
                         .fraction = 0.12,
                         .count = "120/1000 steps",
                         .time = "4:44 left",
                         .figures = {"loss 2.341", "1.85 k tokens/s", "142 GFLOP/s (62 %)"}};

TEST(ProgressLine, IsWholeWhereThereIsRoom) {
  EXPECT_EQ(format_progress(kLine, 200),
            "tune [##......................] 120/1000 steps  4:44 left  loss 2.341  "
            "1.85 k tokens/s  142 GFLOP/s (62 %)");
}

TEST(ProgressLine, FitsEveryWidth) {
  for (size_t columns = 0; columns < 150; ++columns)
    EXPECT_LE(format_progress(kLine, columns).size(), columns);
}

TEST(ProgressLine, GivesUpTheBarFirstThenTheLastFigures) {
  EXPECT_EQ(format_progress(kLine, 88),
            "tune [......] 120/1000 steps  4:44 left  loss 2.341  1.85 k tokens/s  142 GFLOP/s (62 "
            "%)");
  EXPECT_EQ(format_progress(kLine, 79),
            "tune 120/1000 steps  4:44 left  loss 2.341  1.85 k tokens/s  142 GFLOP/s (62 %)");
  EXPECT_EQ(format_progress(kLine, 78),
            "tune 120/1000 steps  4:44 left  loss 2.341  1.85 k tokens/s");
  EXPECT_EQ(format_progress(kLine, 45), "tune 120/1000 steps  4:44 left  loss 2.341");
  EXPECT_EQ(format_progress(kLine, 10), "tune 120/1");
}

TEST(ProgressLine, CountsAndCutsCharactersNotBytes) {
  ProgressLine line{.label = "größer", .count = "1/2 Schritte"};
  EXPECT_EQ(format_progress(line, 19), "größer 1/2 Schritte");
  EXPECT_EQ(format_progress(line, 3), "grö");
}

TEST(ProgressLine, LeavesOutWhatIsNotKnown) {
  EXPECT_EQ(format_progress({.label = "tune", .count = "3 steps"}, 80), "tune 3 steps");
  EXPECT_EQ(format_progress({.label = "tune", .fraction = 2, .count = "9/3"}, 80),
            "tune [########################] 9/3");
}

TEST(FormatClock, TellsSecondsToDays) {
  EXPECT_EQ(format_clock(3.2), "0:03");
  EXPECT_EQ(format_clock(284), "4:44");
  EXPECT_EQ(format_clock(59.7), "1:00");
  EXPECT_EQ(format_clock(3849), "1:04:09");
  EXPECT_EQ(format_clock(3 * 86400 + 3849), "3 d 1:04:09");
  EXPECT_EQ(format_clock(-1), "?");
}

}  // namespace
}  // namespace flanmoe
