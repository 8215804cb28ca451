#include "study/metrics.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "support/temporary_folder.h"

namespace flanmoe::study {
namespace {

TEST(LoadCurves, ReadsTheSpeedOfTheMachine) {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  write_file_atomically(path,
                        "{\"step\": 1, \"loss\": 2.5, \"machine\": {\"flops_per_s\": 100}}\n"
                        "{\"step\": 2, \"loss\": null, \"machine\": {\"flops_per_s\": 300}}\n");
  const Curves curves = load_curves(path);
  EXPECT_EQ(curves.mean_flops_per_s, 200);
  EXPECT_EQ(curves.steps, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(curves.loss.front(), 2.5);
}

}  // namespace
}  // namespace flanmoe::study
