#include "data/mixture/mixture.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "data/mixture/counted_source.h"
#include "data/mixture/rates.h"
#include "data/mixture/shares.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace flanmoe::data {
namespace {

std::string name_at(const Mixture& mixture, uint64_t position) {
  return mixture.tasks()[mixture.locate(position).task].name();
}
std::string id_at(const Mixture& mixture, uint64_t position) {
  return mixture.get(position).query.id;
}

TEST(Mixture, EveryExampleComesOnceBeforeAnyComesTwice) {
  const std::vector<int64_t> sizes = {7, 100, 1, 4000};
  const Mixture mixture(make_tasks(sizes, {7, 100, 1, 4000}), 9);
  std::map<std::string, std::vector<std::string>> drawn;
  for (uint64_t i = 0; i < 600000; ++i) {  // more than two windows
    const auto draw = mixture.locate(i);
    drawn[mixture.tasks()[draw.task].name()].push_back(std::to_string(draw.index));
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
  const Mixture mixture(make_tasks({-1, -1, 50}), 2);
  std::map<std::string, uint64_t> next;
  for (uint64_t i = 0; i < 600000; ++i) {
    const auto draw = mixture.locate(i);
    if (draw.task == 2) continue;
    ASSERT_EQ(draw.index, next[name_at(mixture, i)]++);
  }
}

TEST(Mixture, AnyStretchKeepsTheRates) {
  const std::vector<double> rates = {0.6, 0.3, 0.0995, 0.0005};
  const Mixture mixture(make_tasks({-1, -1, 500, 3}, rates), 4);
  for (const uint64_t start : {0u, 12345u, 261000u}) {  // the last one crosses windows
    std::vector<int> counts(rates.size());
    constexpr int kDraws = 4000;
    for (uint64_t i = 0; i < kDraws; ++i) ++counts[mixture.locate(start + i).task];
    for (size_t s = 0; s < rates.size(); ++s)
      EXPECT_NEAR(counts[s], rates[s] * kDraws, 6) << s << " from " << start;
  }
}

TEST(Mixture, ATinySourceStillComes) {
  const Mixture mixture(make_tasks({-1, 1}, {1e9, 1}), 2);
  int num_tiny = 0;
  for (uint64_t i = 0; i < StreamOrder::kWindow; ++i) num_tiny += mixture.locate(i).task == 1;
  EXPECT_EQ(num_tiny, 1);
}

TEST(Mixture, SeedsGiveDifferentOrders) {
  const Mixture a(make_tasks({100, 100}), 1), b(make_tasks({100, 100}), 1),
      c(make_tasks({100, 100}), 2);
  int num_different = 0;
  for (uint64_t i = 0; i < 200; ++i) {
    EXPECT_EQ(id_at(a, i), id_at(b, i));
    num_different += id_at(a, i) != id_at(c, i);
  }
  EXPECT_GT(num_different, 100);
}

// What a worker of several sees is what one sees at its positions: nothing is kept between calls.
TEST(Mixture, PositionsMayBeAskedForInAnyOrder) {
  const Mixture walked(make_tasks({50, -1, 9}), 3), jumped(make_tasks({50, -1, 9}), 3);
  std::vector<std::string> forward, backward;
  for (uint64_t i = 0; i < 3000; ++i) forward.push_back(id_at(walked, i));
  for (uint64_t i = 3000; i-- > 0;) backward.insert(backward.begin(), id_at(jumped, i));
  EXPECT_EQ(forward, backward);
}

TEST(Mixture, AFewDistinctExamplesAreTheSameFewInALargerSubset) {
  std::set<uint64_t> few, many;
  for (const int64_t num_used : {20, 60}) {
    auto tasks = make_tasks({1000});
    tasks[0].num_examples = num_used;
    const Mixture mixture(tasks, 5);
    for (uint64_t i = 0; i < 200; ++i)
      (num_used == 20 ? few : many).insert(mixture.locate(i).index);
  }
  EXPECT_EQ(few.size(), 20u);
  EXPECT_EQ(many.size(), 60u);
  for (const uint64_t index : few) EXPECT_EQ(many.count(index), 1u);
}

TEST(Mixture, RefusesEmptySources) {
  EXPECT_THROW(Mixture({}, 1), Error);
  EXPECT_THROW(Mixture(make_tasks({3, 0}), 1), Error);
}

// ---- the mixtures that are shipped

std::string recipe(const std::string& name) {
  return std::string(FLANMOE_SOURCE_DIR) + "/recipes/mixtures/" + name;
}

// Train sizes of the data sets and numbers of templates; the heaviest shares as published figures
// have them (facts.md item 70).
TEST(ShippedMixtures, T0WeighsDataSetsByExamplesTimesTemplates) {
  struct DataSet {
    const char* name;
    int64_t size, num_templates;
  };
  const std::vector<DataSet> data_sets = {{"adversarial_qa/dbidaf", 10000, 5},
                                          {"adversarial_qa/dbert", 10000, 5},
                                          {"adversarial_qa/droberta", 10000, 5},
                                          {"ag_news", 120000, 7},
                                          {"amazon_polarity", 3600000, 9},
                                          {"app_reviews", 288065, 4},
                                          {"cnn_dailymail/3.0.0", 287113, 9},
                                          {"common_gen", 67389, 9},
                                          {"cos_e/v1.11", 9741, 11},
                                          {"cosmos_qa", 25262, 13},
                                          {"dbpedia_14", 560000, 4},
                                          {"dream", 6116, 5},
                                          {"duorc/ParaphraseRC", 69524, 9},
                                          {"duorc/SelfRC", 60721, 9},
                                          {"gigaword", 3803957, 9},
                                          {"glue/mrpc", 3668, 7},
                                          {"glue/qqp", 363846, 6},
                                          {"imdb", 25000, 11},
                                          {"kilt_tasks/hotpotqa", 88869, 5},
                                          {"multi_news", 44972, 6},
                                          {"paws/labeled_final", 49401, 12},
                                          {"qasc", 8134, 8},
                                          {"quail", 10246, 13},
                                          {"quarel", 1941, 5},
                                          {"quartz", 2696, 8},
                                          {"quoref", 19399, 11},
                                          {"ropes", 10924, 12},
                                          {"rotten_tomatoes", 8530, 10},
                                          {"samsum", 14732, 7},
                                          {"sciq", 11679, 5},
                                          {"social_i_qa", 33410, 6},
                                          {"trec", 5452, 18},
                                          {"wiki_bio", 582659, 5},
                                          {"wiki_hop/original", 43738, 9},
                                          {"wiki_qa", 20360, 11},
                                          {"wiqa", 29808, 8},
                                          {"xsum", 204045, 10},
                                          {"yelp_review_full", 650000, 7}};
  const MixtureFile file = load_mixture_file(recipe("t0.toml"));
  ASSERT_EQ(file.collections.size(), 1u);
  const CollectionConfig& collection = file.collections[0];
  std::set<std::string> named;
  for (const CollectionSource& source : collection.sources) named.insert(source.task);
  std::vector<TaskSize> sizes;
  int64_t num_templates = 0;
  for (const DataSet& set : data_sets) {
    EXPECT_EQ(named.count(set.name), 1u) << set.name;
    sizes.push_back({set.name, "c", set.size, set.num_templates});
    num_templates += set.num_templates;
  }
  EXPECT_EQ(named.size(), 38u);
  EXPECT_EQ(num_templates, 313);
  const std::vector<double> rates = task_rates(collection, sizes);
  const double total = std::accumulate(rates.begin(), rates.end(), 0.0);
  const auto share_of = [&](const std::string& name) {
    for (size_t i = 0; i < sizes.size(); ++i)
      if (sizes[i].name == name) return std::round(1000 * rates[i] / total) / 10;
    return 0.0;
  };
  EXPECT_EQ(share_of("cnn_dailymail/3.0.0"), 15.0);
  EXPECT_EQ(share_of("glue/qqp"), 12.6);
  EXPECT_EQ(share_of("xsum"), 11.8);
  EXPECT_EQ(share_of("app_reviews"), 6.7);
  EXPECT_EQ(share_of("ag_news"), 4.9);
}

// facts.md items 13 and 14.
TEST(ShippedMixtures, FlanKeepsItsProportionsCapsAndForms) {
  const MixtureFile released = load_mixture_file(recipe("flan2022-released.toml"));
  std::map<std::string, double> weights;
  for (const CollectionConfig& collection : released.collections)
    weights[collection.name.substr(0, collection.name.find('-'))] += *collection.weight;
  EXPECT_EQ(weights, (std::map<std::string, double>{
                         {"flan2021", 40}, {"t0", 32}, {"niv2", 20}, {"cot", 5}, {"dialog", 3}}));
  const std::map<std::string, int64_t> caps = {
      {"muffin", 30000}, {"t0-sf", 20000}, {"niv2", 5000}, {"cot", 100000}};
  const MixtureFile paper = load_mixture_file(recipe("flan2022-paper.toml"));
  for (const CollectionConfig& collection : paper.collections) {
    EXPECT_EQ(collection.max_examples, caps.at(collection.name)) << collection.name;
    double zero_shot = 0, few_shot = 0;
    for (const FormConfig& form : collection.prompting.forms)
      if (!form.inverted) (form.num_shots > 0 ? few_shot : zero_shot) += form.share;
    EXPECT_NEAR(zero_shot, few_shot, 1e-9) << collection.name;
  }
}

TEST(ShippedMixtures, WhatIsMissingIsListed) {
  for (const char* name : {"t0.toml", "flan2022-released.toml", "flan2022-paper.toml"}) {
    MixtureConfig config;
    config.folder = "/nowhere";
    expect_error(ErrorCode::NotFound, "/nowhere/", [&] { check_mixture(recipe(name), config); });
    config.allows_missing = true;
    check_mixture(recipe(name), config);
    expect_error(ErrorCode::NotFound, "/nowhere/", [&] { open_mixture(recipe(name), config, 1); });
  }
  check_mixture(recipe("builtin.toml"), {});
}

// ---- opening what a user names

std::string write_examples(const std::string& path, const std::string& task, int count,
                           const std::string& cluster = "") {
  std::ofstream file(path, std::ios::app);
  for (int i = 0; i < count; ++i)
    file << "{\"inputs\":\"" << task << " " << i << "\",\"targets\":\"" << i % 3 << "\",\"task\":\""
         << task << "\",\"cluster\":\"" << cluster << "\"}\n";
  return path;
}

std::map<std::string, double> rates_of(const Mixture& mixture) {
  std::map<std::string, double> rates;
  for (const MixtureTask& task : mixture.tasks())
    rates[task.collection + "/" + task.name()] = task.rate;
  return rates;
}

class MixtureFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    write_examples(path("a.jsonl"), "small", 10, "easy");
    write_examples(path("a.jsonl"), "large", 100, "hard");
    write_examples(path("b.jsonl"), "small_inverted", 20, "easy");
    write_examples(path("b.jsonl"), "other", 30, "rest");
  }
  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }
  std::string mixture(const std::string& text) const {
    write_file_atomically(path("mixture.toml"), text);
    return path("mixture.toml");
  }
  TemporaryFolder folder_;
};

TEST_F(MixtureFileTest, CollectionsHaveTheirWeightsAndTasksTheirCaps) {
  const Mixture opened = open_mixture(mixture(R"(
[[collections]]
name = "first"
weight = 3
max_examples = 40
sources = [{ path = "a.jsonl" }]
[[collections]]
name = "second"
weight = 1
sources = [{ path = "b.jsonl" }]
)"),
                                      {}, 1);
  const auto rates = rates_of(opened);
  ASSERT_EQ(rates.size(), 4u);
  EXPECT_NEAR(rates.at("first/small"), 0.75 * 10 / 50, 1e-12);
  EXPECT_NEAR(rates.at("first/large"), 0.75 * 40 / 50, 1e-12);
  EXPECT_NEAR(rates.at("second/small_inverted"), 0.25 * 20 / 50, 1e-12);
  EXPECT_NEAR(rates.at("second/other"), 0.25 * 30 / 50, 1e-12);
  const Shares shares = measure_shares(opened, 100000);
  EXPECT_LT(shares.largest_difference, 1e-4);
  ASSERT_EQ(shares.collections.size(), 2u);
  EXPECT_NEAR(shares.collections[0].asked, 0.75, 1e-12);
  EXPECT_EQ(shares.clusters.size(), 3u);
  EXPECT_EQ(shares.clusters[0].name, "easy");
  EXPECT_EQ(shares.clusters[0].num_examples, 30);
  std::map<std::string, int> counts;
  for (uint64_t i = 0; i < 100000; ++i) ++counts[name_at(opened, i)];
  for (const Share& share : shares.tasks)
    EXPECT_NEAR(share.realised, counts[share.name] / 1e5, 1e-9) << share.name;
}

TEST_F(MixtureFileTest, PlainPathsMixByExamples) {
  MixtureConfig config;
  config.max_examples = 25;
  const auto rates = rates_of(open_mixture(path("a.jsonl") + ", " + path("b.jsonl"), config, 1));
  EXPECT_NEAR(rates.at("data/small"), 10.0 / 80, 1e-12);
  EXPECT_NEAR(rates.at("data/large"), 25.0 / 80, 1e-12);
  EXPECT_NEAR(rates.at("data/other"), 25.0 / 80, 1e-12);
}

TEST_F(MixtureFileTest, OneTaskInTwoFilesIsOneTask) {
  write_examples(path("c.jsonl"), "small", 5, "easy");
  const Mixture opened = open_mixture(path("a.jsonl") + "," + path("c.jsonl"), {}, 1);
  ASSERT_EQ(opened.tasks().size(), 2u);
  EXPECT_EQ(opened.tasks()[0].num_examples, 15);
  EXPECT_EQ(opened.tasks()[0].source->get(10).inputs, "small 0");
  EXPECT_EQ(opened.tasks()[0].source->get(9).inputs, "small 9");
}

TEST_F(MixtureFileTest, WhatIsDerivedFromAHeldOutClusterIsHeldOut) {
  const std::string file = mixture(R"(
[[collections]]
name = "all"
sources = [{ path = "a.jsonl" }, { path = "b.jsonl" }]
[[tasks]]
name = "small_inverted"
cluster = "inversion"
derived_from = ["small"]
)");
  MixtureConfig config;
  config.hold_out = {"easy"};
  const Mixture opened = open_mixture(file, config, 1);
  EXPECT_EQ(opened.held_out, (std::vector<std::string>{"small", "small_inverted"}));
  EXPECT_EQ(opened.tasks().size(), 2u);
  config.hold_out = {"esay"};
  expect_error(ErrorCode::NotFound, "easy", [&] { open_mixture(file, config, 1); });
}

TEST_F(MixtureFileTest, SubsetsOfTasksAreNestedAndHaveEqualNumbersOfExamples) {
  std::set<std::string> before;
  for (const int64_t num_tasks : {1, 2, 3, 4}) {
    MixtureConfig config;
    config.num_tasks = num_tasks;
    config.num_examples = 9;
    config.subset_seed = 3;
    const Mixture opened = open_mixture(path("a.jsonl") + "," + path("b.jsonl"), config, 1);
    std::set<std::string> names;
    int64_t num_examples = 0;
    for (const MixtureTask& task : opened.tasks()) {
      names.insert(task.name());
      num_examples += task.num_examples;
    }
    EXPECT_EQ(num_examples, 9);
    for (const std::string& name : before) EXPECT_EQ(names.count(name), 1u) << name;
    before = names;
  }
  MixtureConfig config;
  config.num_tasks = 5;
  expect_error(ErrorCode::InvalidConfig, "num_tasks is 5",
               [&] { open_mixture(path("a.jsonl"), config, 1); });
}

TEST_F(MixtureFileTest, MissingSourcesAreListedWithWhereToGetThem) {
  const std::string file = mixture(R"(
[[collections]]
name = "here"
weight = 1
sources = [{ path = "a.jsonl" }]
[[collections]]
name = "there"
weight = 1
sources = [{ path = "nowhere.jsonl", obtain = "ask its authors" }]
)");
  expect_error(ErrorCode::NotFound, "ask its authors", [&] { open_mixture(file, {}, 1); });
  expect_error(ErrorCode::NotFound, "nowhere.jsonl", [&] { check_mixture(file, {}); });
  MixtureConfig config;
  config.allows_missing = true;
  check_mixture(file, config);
  const Mixture opened = open_mixture(file, config, 1);
  ASSERT_EQ(opened.missing.size(), 1u);
  EXPECT_EQ(describe(opened.missing[0]),
            "there (50 % asked): " + path("nowhere.jsonl") + ", ask its authors");
  EXPECT_EQ(opened.tasks().size(), 2u);
  EXPECT_EQ(mixture_inputs(file, config), (std::vector<std::string>{path("a.jsonl")}));
}

TEST_F(MixtureFileTest, WrongFilesAreRefusedByName) {
  const auto expect_refused = [&](const std::string& text, const std::string& part) {
    expect_error(ErrorCode::InvalidConfig, part, [&] { open_mixture(mixture(text), {}, 1); });
  };
  expect_refused("name = \"x\"", "collections");
  expect_refused("[[collections]]\nsources = [{ path = \"a.jsonl\" }]", "collections[0].name");
  expect_refused("[[collections]]\nname = \"x\"", "'x' has no source");
  expect_refused("[[collections]]\nname = \"x\"\nwieght = 2\nsources = [{ path = \"a.jsonl\" }]",
                 "weight");
  expect_refused(
      "[[collections]]\nname = \"x\"\nweight = 2\nsources = [{ path = \"a.jsonl\" }]\n"
      "[[collections]]\nname = \"y\"\nsources = [{ path = \"b.jsonl\" }]",
      "'y' has none");
  expect_refused(
      "[[collections]]\nname = \"x\"\ntemperature = 0.0\nsources = [{ path = \"a.jsonl\" }]",
      "temperature is 0");
  expect_refused(
      "[[collections]]\nname = \"x\"\nmax_examples = 0\nsources = [{ path = \"a.jsonl\" }]",
      "max_examples is 0");
  expect_refused(
      "[[collections]]\nname = \"x\"\nexcluded_tasks = [\"(\"]\nsources = [{ path = "
      "\"a.jsonl\" }]",
      "no regular expression");
  expect_refused(
      "[[collections]]\nname = \"x\"\ncluster_weights = { easy = 1 }\nsources = [{ path = "
      "\"a.jsonl\" }]",
      "cluster 'hard'");
}

}  // namespace
}  // namespace flanmoe::data
