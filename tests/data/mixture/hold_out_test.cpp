#include "data/mixture/hold_out.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace flanmoe::data {
namespace {

const std::vector<TaskIdentity> kTasks = {
    {"rte", "entailment", "rte", {}},
    {"rte_inverted", "inversion", "rte", {}},            // the same data set
    {"rte_translated", "translation", "mine", {"rte"}},  // made from it
    {"mine_too", "other", "mine", {}},                   // and of the data set of one made from it
    {"cot", "reasoning", "gsm8k", {"math"}},
    {"boolq", "reading", "boolq", {}},
};

TEST(FindHeldOut, FollowsClusterDataSetAndOrigin) {
  EXPECT_EQ(find_held_out(kTasks, {"entailment"}),
            (std::vector<bool>{true, true, true, true, false, false}));
  EXPECT_EQ(find_held_out(kTasks, {"boolq"}),
            (std::vector<bool>{false, false, false, false, false, true}));
  EXPECT_EQ(find_held_out(kTasks, {"math"}),  // only known as an origin
            (std::vector<bool>{false, false, false, false, true, false}));
  EXPECT_EQ(find_held_out(kTasks, {}), std::vector<bool>(kTasks.size(), false));
}

// A cluster that loses one task keeps its others.
TEST(FindHeldOut, ClustersAreNotHeldOutByTheirTasks) {
  auto tasks = kTasks;
  tasks.push_back({"wnli", "entailment", "wnli", {}});
  EXPECT_FALSE(find_held_out(tasks, {"rte"}).back());
}

TEST(FindHeldOut, UnknownNamesAreRefused) {
  expect_error(ErrorCode::NotFound, "did you mean 'entailment'",
               [] { find_held_out(kTasks, {"entailmnet"}); });
}

}  // namespace
}  // namespace flanmoe::data
