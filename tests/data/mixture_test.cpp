#include "data/mixture.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "data/builtin.h"

namespace flanmoe::data {
namespace {

class CountedSource : public Source {
 public:
  CountedSource(std::string task, int64_t size) : task_(std::move(task)), size_(size) {}
  std::string task() const override { return task_; }
  std::string cluster() const override { return "c"; }
  int64_t size() const override { return size_; }
  Example get(uint64_t index) const override {
    if (size_ >= 0 && index >= static_cast<uint64_t>(size_)) throw std::out_of_range("index");
    Example example;
    example.task = task_;
    example.id = std::to_string(index);
    return example;
  }

 private:
  std::string task_;
  int64_t size_;
};

std::vector<std::shared_ptr<const Source>> make_sources(const std::vector<int64_t>& sizes) {
  std::vector<std::shared_ptr<const Source>> sources;
  for (size_t i = 0; i < sizes.size(); ++i)
    sources.push_back(std::make_shared<CountedSource>("t" + std::to_string(i), sizes[i]));
  return sources;
}

TEST(Mixture, RatesFollowCapSizeAndTemperature) {
  MixtureConfig config;
  config.max_examples = 100;
  config.temperature = 2;
  const auto shares = Mixture(make_sources({1000, 25, -1}), config, 1).shares();
  ASSERT_EQ(shares.size(), 3u);
  EXPECT_NEAR(shares[0].rate, 10.0 / 25, 1e-12);
  EXPECT_NEAR(shares[1].rate, 5.0 / 25, 1e-12);
  EXPECT_NEAR(shares[2].rate, 10.0 / 25, 1e-12);
  EXPECT_EQ(shares[1].size, 25);
}

TEST(Mixture, TheStreamKeepsTheRates) {
  const Mixture mixture(make_sources({30000, 3000, 300, 1}), {}, 4);
  constexpr int kDraws = 20000;
  std::map<std::string, int> counts;
  for (uint64_t i = 0; i < kDraws; ++i) ++counts[mixture.get(i).task];
  for (const auto& share : mixture.shares())
    EXPECT_NEAR(counts[share.task], share.rate * kDraws, 5 * std::sqrt(share.rate * kDraws) + 2)
        << share.task;
}

TEST(Mixture, EveryExampleComesOnceBeforeAnyComesTwice) {
  const std::vector<int64_t> sizes = {7, 100, 1, 4000};
  const Mixture mixture(make_sources(sizes), {}, 9);
  std::map<std::string, std::vector<std::string>> drawn;
  for (uint64_t i = 60000; i < 140000; ++i)
    drawn[mixture.get(i).task];  // any starting place is fine to ask for
  drawn.clear();
  for (uint64_t i = 0; i < 150000; ++i) {  // more than two windows
    const Example example = mixture.get(i);
    drawn[example.task].push_back(example.id);
  }
  std::set<std::vector<std::string>> orders;
  for (size_t s = 0; s < sizes.size(); ++s) {
    const auto& ids = drawn["t" + std::to_string(s)];
    const auto size = static_cast<size_t>(sizes[s]);
    ASSERT_GE(ids.size(), size);
    for (size_t epoch = 0; (epoch + 1) * size <= ids.size(); ++epoch) {
      const std::vector<std::string> order(
          ids.begin() + static_cast<std::ptrdiff_t>(epoch * size),
          ids.begin() + static_cast<std::ptrdiff_t>((epoch + 1) * size));
      ASSERT_EQ(std::set<std::string>(order.begin(), order.end()).size(), size)
          << "source " << s << " epoch " << epoch;
      if (size == 7) orders.insert(order);
    }
  }
  EXPECT_GT(orders.size(), 10u);  // not one permutation again and again
}

TEST(Mixture, EndlessSourcesAreReadInOrderWithoutGaps) {
  const Mixture mixture(make_sources({-1, -1, 50}), {}, 2);
  std::map<std::string, uint64_t> next;
  for (uint64_t i = 0; i < 140000; ++i) {
    const Example example = mixture.get(i);
    if (example.task == "t2") continue;
    ASSERT_EQ(example.id, std::to_string(next[example.task]++));
  }
}

TEST(Mixture, ATinySourceStillComes) {
  const Mixture mixture(make_sources({-1, 1}), {}, 2);
  int num_tiny = 0;
  for (uint64_t i = 0; i < 65536; ++i) num_tiny += mixture.get(i).task == "t1";
  EXPECT_GE(num_tiny, 1);
  EXPECT_LE(num_tiny, 4);
}

TEST(Mixture, SeedsGiveDifferentOrders) {
  const Mixture a(make_sources({100, 100}), {}, 1), b(make_sources({100, 100}), {}, 1),
      c(make_sources({100, 100}), {}, 2);
  int num_different = 0;
  for (uint64_t i = 0; i < 200; ++i) {
    EXPECT_EQ(a.get(i).id, b.get(i).id);
    num_different += a.get(i).id != c.get(i).id;
  }
  EXPECT_GT(num_different, 100);
}

TEST(Mixture, RefusesEmptySourcesAndBadConfigs) {
  EXPECT_THROW(Mixture({}, {}, 1), Error);
  EXPECT_THROW(Mixture(make_sources({3, 0}), {}, 1), Error);
  MixtureConfig config;
  config.temperature = 0;
  EXPECT_THROW(Mixture(make_sources({3}), config, 1), Error);
  config = {};
  config.max_examples = 0;
  EXPECT_THROW(Mixture(make_sources({3}), config, 1), Error);
}

TEST(OpenSources, BuiltinNames) {
  const auto all = open_sources("builtin:train", 1);
  std::set<std::string> clusters;
  for (const auto& source : all) {
    EXPECT_LT(source->size(), 0);
    EXPECT_NE(source->cluster(), builtin::held_out_cluster());
    EXPECT_EQ(source->get(0).task, source->task());
    EXPECT_EQ(source->get(0).split, "train");
    clusters.insert(source->cluster());
  }
  EXPECT_EQ(clusters.size(), 4u);
  ASSERT_EQ(open_sources("builtin:" + all[2]->task(), 1).size(), 1u);
  EXPECT_EQ(open_sources("builtin:" + all[2]->task(), 1)[0]->get(5).inputs, all[2]->get(5).inputs);
  EXPECT_NE(open_sources("builtin:" + all[2]->task(), 2)[0]->get(5).inputs, all[2]->get(5).inputs);
}

TEST(OpenSources, UnknownAndHeldOutNamesAreRefused) {
  try {
    open_sources("builtin:last_wrod", 1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::NotFound);
    EXPECT_NE(std::string(error.what()).find("last_word"), std::string::npos) << error.what();
  }
  try {
    open_sources("builtin:who_holds", 1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
  }
}

TEST(OpenSources, AFileGivesOneSourceATask) {
  const std::string folder = ::testing::TempDir() + "/flanmoe_sources";
  std::filesystem::remove_all(folder);
  make_folders(folder);
  write_file_atomically(folder + "/x.y.jsonl",
                        "{\"inputs\":\"1\",\"targets\":\"a\",\"task\":\"q\",\"cluster\":\"k\"}\n{"
                        "\"inputs\":\"2\",\"targets\":\"b\"}\n"
                        "{\"inputs\":\"3\",\"targets\":\"c\",\"task\":\"q\"}\n");
  const auto sources = open_sources(folder, 1);
  ASSERT_EQ(sources.size(), 2u);
  EXPECT_EQ(sources[0]->task(), "q");
  EXPECT_EQ(sources[0]->cluster(), "k");
  EXPECT_EQ(sources[0]->size(), 2);
  EXPECT_EQ(sources[0]->get(1).targets, "c");
  EXPECT_EQ(sources[1]->task(), "x.y");
  EXPECT_EQ(sources[1]->get(0).task, "x.y");
  write_file_atomically(folder + "/x.y.jsonl", "\n");
  EXPECT_THROW(open_sources(folder, 1), Error);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace flanmoe::data
