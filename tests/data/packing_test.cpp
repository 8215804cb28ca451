#include "data/packing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "base/random.h"

namespace flanmoe::data {
namespace {

using Rows = std::vector<std::vector<uint32_t>>;

// What is wrong with a packing, "" where nothing is.
std::string find_fault(const Rows& rows, const std::vector<SideLengths>& lengths,
                       const SideLengths& row) {
  std::set<uint32_t> seen;
  for (size_t r = 0; r < rows.size(); ++r) {
    SideLengths used;
    if (rows[r].empty()) return "an empty row";
    if (!std::is_sorted(rows[r].begin(), rows[r].end())) return "out of order";
    for (const uint32_t example : rows[r]) {
      if (example >= lengths.size()) return "no such example";
      if (!seen.insert(example).second) return "twice";
      used.inputs += lengths[example].inputs;
      used.targets += lengths[example].targets;
    }
    if (used.inputs > row.inputs) return "too many inputs";
    if (used.targets > row.targets) return "too many targets";
  }
  return seen.size() == lengths.size() ? "" : "one is missing";
}

std::vector<SideLengths> draw_log_normal(size_t count, double mean_log_inputs,
                                         double mean_log_targets, double deviation,
                                         const SideLengths& row, uint64_t seed) {
  RandomStream random(RandomKey(seed, RandomPurpose::Generator));
  std::vector<SideLengths> lengths;
  const auto draw = [&](double mean_log, int64_t limit) {
    return std::clamp<int64_t>(std::llround(std::exp(mean_log + deviation * random.normal())), 1,
                               limit);
  };
  for (size_t i = 0; i < count; ++i) {
    const int64_t inputs = draw(mean_log_inputs, row.inputs);
    lengths.push_back({inputs, draw(mean_log_targets, row.targets)});
  }
  return lengths;
}

PackingStatistics count(const Rows& rows, const std::vector<SideLengths>& lengths,
                        const SideLengths& row) {
  PackingStatistics statistics;
  for (const auto& examples : rows) {
    SideLengths used;
    for (const uint32_t i : examples) {
      used.inputs += lengths[i].inputs;
      used.targets += lengths[i].targets;
    }
    statistics.add_row(used, static_cast<int64_t>(examples.size()), row);
  }
  return statistics;
}

TEST(FindFault, FindsWhatIsPlanted) {
  const std::vector<SideLengths> lengths = {{3, 1}, {4, 1}, {5, 2}};
  const SideLengths row{8, 3};
  EXPECT_EQ(find_fault({{0, 2}, {1}}, lengths, row), "");
  EXPECT_EQ(find_fault({{0, 2}}, lengths, row), "one is missing");
  EXPECT_EQ(find_fault({{0, 2}, {1}, {1}}, lengths, row), "twice");
  EXPECT_EQ(find_fault({{1, 2}, {0}}, lengths, row), "too many inputs");
  EXPECT_EQ(find_fault({{0, 1}, {2}}, lengths, {8, 1}), "too many targets");
  EXPECT_EQ(find_fault({{2, 0}, {1}}, lengths, row), "out of order");
  EXPECT_EQ(find_fault({{0, 2}, {1}, {}}, lengths, row), "an empty row");
  EXPECT_EQ(find_fault({{0, 2}, {1, 3}}, lengths, row), "no such example");
}

TEST(Packing, EveryExampleIsInOneRowThatHoldsIt) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    RandomStream random(RandomKey(seed, RandomPurpose::Sampling));
    const SideLengths row{random.between(1, 300), random.between(1, 80)};
    const auto lengths =
        draw_log_normal(static_cast<size_t>(random.between(0, 200)), 6 * random.uniform(),
                        4 * random.uniform(), 2 * random.uniform(), row, seed);
    const Rows rows = pack_best_fit(lengths, row);
    ASSERT_EQ(find_fault(rows, lengths, row), "") << seed;
    EXPECT_EQ(pack_best_fit(lengths, row), rows);
  }
}

TEST(Packing, FillsTheSideThatClosesTheRow) {
  const SideLengths kRows[] = {{2048, 512}, {1024, 256}, {512, 128}};
  for (const SideLengths& row : kRows)
    for (const double mean_log_targets : {1.5, 2.5, 4.0})  // inputs close the row, then targets
      for (uint64_t seed : {1, 2}) {
        const auto lengths = draw_log_normal(4096, 4.5, mean_log_targets, 0.9, row, seed);
        const PackingStatistics statistics = count(pack_best_fit(lengths, row), lengths, row);
        EXPECT_GT(statistics.closing_fill(), 0.95);
        EXPECT_GT(std::max(statistics.input_fill(), statistics.target_fill()), 0.93)
            << row.inputs << " " << mean_log_targets;
        EXPECT_EQ(statistics.num_segments, 4096);
      }
}

// The best there is, by trying everything.
size_t fewest_rows(const std::vector<SideLengths>& lengths, const SideLengths& row) {
  size_t best = lengths.size();
  std::vector<SideLengths> used;
  const auto place = [&](const auto& self, size_t example) -> void {
    if (used.size() >= best) return;
    if (example == lengths.size()) {
      best = used.size();
      return;
    }
    for (size_t r = 0; r <= used.size(); ++r) {
      if (r == used.size()) used.push_back({});
      const SideLengths before = used[r];
      used[r] = {before.inputs + lengths[example].inputs,
                 before.targets + lengths[example].targets};
      if (used[r].inputs <= row.inputs && used[r].targets <= row.targets) self(self, example + 1);
      used[r] = before;
      if (before.inputs == 0 && before.targets == 0) {
        used.resize(r);
        break;
      }
    }
  };
  if (!lengths.empty()) place(place, 0);
  return best;
}

TEST(Packing, IsNearTheFewestRowsThatThereCanBe) {
  const SideLengths row{20, 10};
  size_t num_rows = 0, num_best = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const auto lengths = draw_log_normal(9, 2.0, 1.0, 0.6, row, seed);
    const size_t best = fewest_rows(lengths, row), found = pack_best_fit(lengths, row).size();
    EXPECT_GE(found, best);
    EXPECT_LE(found, best + 1);
    num_rows += found;
    num_best += best;
  }
  EXPECT_LT(static_cast<double>(num_rows), 1.03 * static_cast<double>(num_best));
}

TEST(Packing, PutsLongTargetsBesideLongInputs) {
  std::vector<SideLengths> lengths;
  for (int i = 0; i < 10; ++i) lengths.push_back({90, 10});
  for (int i = 0; i < 10; ++i) lengths.push_back({10, 90});
  EXPECT_EQ(pack_best_fit(lengths, {100, 100}).size(), 10u);
}

TEST(Packing, RefusesWhatFitsIntoNoRow) {
  try {
    pack_best_fit({{1, 1}, {9, 2}}, {8, 4});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_NE(std::string(error.what()).find("example 1 has 9 input and 2 target tokens"),
              std::string::npos)
        << error.what();
  }
}

TEST(PackingStatistics, CountsBothSidesAndTheOneThatClosesTheRow) {
  PackingStatistics statistics, more;
  EXPECT_EQ(statistics.closing_fill(), 0);
  EXPECT_EQ(statistics.input_fill(), 0);
  statistics.add_row({80, 5}, 3, {100, 10});
  more.add_row({20, 9}, 2, {100, 10});
  more.num_cut_inputs = 1;
  more.lost_tokens = {7, 0};
  statistics.add(more);
  EXPECT_DOUBLE_EQ(statistics.input_fill(), 0.5);
  EXPECT_DOUBLE_EQ(statistics.target_fill(), 0.7);
  EXPECT_DOUBLE_EQ(statistics.closing_fill(), 0.85);
  const Json json = to_json(statistics);
  EXPECT_EQ(json.at("rows"), 2);
  EXPECT_EQ(json.at("segments"), 5);
  EXPECT_EQ(json.at("cut_inputs"), 1);
  EXPECT_EQ(json.at("lost_input_tokens"), 7);
}

}  // namespace
}  // namespace flanmoe::data
