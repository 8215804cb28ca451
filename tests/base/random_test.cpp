#include "base/random.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <set>

#include "support/expect_error.h"

namespace flanmoe {
namespace {

RandomKey key(uint64_t seed = 1) {
  return RandomKey(seed, RandomPurpose::DataOrder);
}

// Sum over the cells of (found - expected)^2 / expected.
double chi_square(const std::vector<int64_t>& counts) {
  const double expected =
      static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0})) /
      static_cast<double>(counts.size());
  double sum = 0;
  for (const int64_t count : counts)
    sum += std::pow(static_cast<double>(count) - expected, 2) / expected;
  return sum;
}

// Far beyond what chance gives: mean of the distribution plus 6 of its standard deviations.
double chi_square_limit(size_t num_cells) {
  const double freedom = static_cast<double>(num_cells - 1);
  return freedom + 6 * std::sqrt(2 * freedom);
}

bool is_bijection(uint64_t size, const std::function<uint64_t(uint64_t)>& map) {
  std::vector<bool> seen(size);
  for (uint64_t i = 0; i < size; ++i) {
    const uint64_t value = map(i);
    if (value >= size || seen[value]) return false;
    seen[value] = true;
  }
  return true;
}

TEST(RandomKey, ValuesAreFrozen) {
  // Part of the format: other values here mean that every run changes.
  EXPECT_EQ(mix64(0), 0xE220A8397B1DCDAFull);  // SplitMix64, seed 0, first output
  const RandomKey frozen =
      RandomKey(1234, RandomPurpose::Dropout).fold(uint64_t{5}).fold("layer.3");
  EXPECT_EQ(frozen.bits(0), 0x283766045ed065e2ull);
  EXPECT_EQ(frozen.bits(1000000), 0x1998f6d9163ea9a0ull);
  EXPECT_EQ(Permutation(1000, frozen)(17), 778u);
}

TEST(RandomKey, DoesNotDependOnTheOrderOfCalls) {
  std::vector<double> forward, backward;
  for (uint64_t i = 0; i < 100; ++i) forward.push_back(key().fold(i).normal(i));
  for (uint64_t i = 100; i-- > 0;) backward.push_back(key().fold(i).normal(i));
  std::reverse(backward.begin(), backward.end());
  EXPECT_EQ(forward, backward);
}

TEST(RandomKey, DiffersBySeedPurposePartAndOrderOfParts) {
  std::set<uint64_t> states;
  size_t count = 0;
  const auto add = [&](const RandomKey& k) { states.insert(k.state()), ++count; };
  for (uint64_t seed = 0; seed < 100; ++seed)
    for (const auto purpose :
         {RandomPurpose::Initialisation, RandomPurpose::Dropout, RandomPurpose::FewShot})
      for (uint64_t part = 0; part < 100; ++part) add(RandomKey(seed, purpose).fold(part));
  add(key().fold(uint64_t{1}).fold(uint64_t{2}));
  add(key().fold(uint64_t{2}).fold(uint64_t{1}));
  for (const std::string& text :
       {std::string(), std::string("a"), std::string("a\0", 2), std::string("b"),
        std::string("12345678"), std::string("123456780"), std::string("012345678")})
    add(key().fold(text));
  EXPECT_EQ(states.size(), count);
}

TEST(RandomKey, UniformIsUniform) {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    std::vector<int64_t> by_index(64), by_part(64), pairs(64);
    for (uint64_t i = 0; i < 64000; ++i) {
      const double value = key(seed).uniform(i);
      ASSERT_GE(value, 0.0);
      ASSERT_LT(value, 1.0);
      ++by_index[static_cast<size_t>(value * 64)];
      ++by_part[static_cast<size_t>(key(seed).fold(i).uniform(0) * 64)];
      ++pairs[static_cast<size_t>(key(seed).uniform(i) * 8) * 8 +
              static_cast<size_t>(key(seed).uniform(i + 1) * 8)];
    }
    EXPECT_LT(chi_square(by_index), chi_square_limit(64));
    EXPECT_LT(chi_square(by_part), chi_square_limit(64));
    EXPECT_LT(chi_square(pairs), chi_square_limit(64));
  }
}

TEST(RandomKey, UniformityCheckObjectsToASlightBias) {
  std::vector<int64_t> counts(64);
  for (uint64_t i = 0; i < 64000; ++i)
    ++counts[static_cast<size_t>(std::pow(key().uniform(i), 1.1) * 64)];
  EXPECT_GT(chi_square(counts), chi_square_limit(64));
}

TEST(RandomKey, EveryBitIsFairAndChangesWithAnyInputBit) {
  for (int input = 0; input < 64; ++input) {
    int changed = 0;
    for (uint64_t i = 0; i < 256; ++i)
      changed +=
          std::popcount(key().fold(i).state() ^ key().fold(i ^ (uint64_t{1} << input)).state());
    EXPECT_NEAR(changed / 256.0, 32.0, 2.0) << "input bit " << input;
  }
}

TEST(RandomKey, BelowIsUniformAndStaysBelow) {
  for (const uint64_t bound : {1ull, 2ull, 3ull, 7ull, 50ull}) {
    std::vector<int64_t> counts(bound);
    for (uint64_t i = 0; i < 20000; ++i) ++counts.at(key().below(bound, i));
    EXPECT_LE(chi_square(counts), chi_square_limit(bound)) << bound;
  }
  EXPECT_LT(key().below(~0ull, 3), ~0ull);
  EXPECT_CONTAINS(error_of(ErrorCode::Internal, [] { key().below(0, 0); }), "bound > 0");
}

TEST(RandomKey, NormalHasTheMomentsOfANormal) {
  const int count = 100000;
  double sum = 0, square = 0, cube = 0, fourth = 0, product = 0, last = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const double x = key().normal(i);
    ASSERT_TRUE(std::isfinite(x));
    sum += x, square += x * x, cube += x * x * x, fourth += x * x * x * x, product += x * last;
    last = x;
  }
  EXPECT_NEAR(sum / count, 0, 5 / std::sqrt(count));
  EXPECT_NEAR(square / count, 1, 5 * std::sqrt(2.0 / count));
  EXPECT_NEAR(cube / count, 0, 5 * std::sqrt(15.0 / count));
  EXPECT_NEAR(fourth / count, 3, 5 * std::sqrt(96.0 / count));
  EXPECT_NEAR(product / count, 0, 5 / std::sqrt(count));
}

TEST(RandomStream, BetweenIncludesBothEnds) {
  RandomStream stream(key());
  std::map<int64_t, int> counts;
  for (int i = 0; i < 1000; ++i) ++counts[stream.between(-1, 2)];
  EXPECT_EQ(counts.size(), 4u);
  EXPECT_EQ(counts.begin()->first, -1);
  EXPECT_EQ(counts.rbegin()->first, 2);
}

TEST(RandomStream, ShuffleReachesEveryOrderEquallyOften) {
  RandomStream stream(key());
  std::map<std::vector<int>, int64_t> counts;
  for (int i = 0; i < 24000; ++i) {
    std::vector<int> values{0, 1, 2, 3};
    stream.shuffle(values);
    ++counts[values];
  }
  std::vector<int64_t> cells;
  for (const auto& [order, count] : counts) cells.push_back(count);
  EXPECT_EQ(cells.size(), 24u);
  EXPECT_LT(chi_square(cells), chi_square_limit(24));
}

TEST(Permutation, IsABijectionForEverySmallSize) {
  for (uint64_t size = 0; size <= 300; ++size)
    EXPECT_TRUE(is_bijection(size, Permutation(size, key(size)))) << size;
}

TEST(Permutation, IsABijectionAroundPowersOfTwoAndFour) {
  for (uint64_t power = 512; power <= 65536; power *= 2)
    for (const uint64_t size : {power - 1, power, power + 1})
      EXPECT_TRUE(is_bijection(size, Permutation(size, key()))) << size;
}

TEST(Permutation, BijectionCheckObjectsToARepeatAndToAValueOutside) {
  EXPECT_TRUE(is_bijection(10, [](uint64_t i) { return 9 - i; }));
  EXPECT_FALSE(is_bijection(10, [](uint64_t i) { return i == 9 ? 8 : i; }));
  EXPECT_FALSE(is_bijection(10, [](uint64_t i) { return i + 1; }));
}

TEST(Permutation, WorksForHugeSizes) {
  for (const uint64_t size : {(uint64_t{1} << 40) + 1, (uint64_t{1} << 61) + 3,
                              (uint64_t{1} << 62) - 1, uint64_t{1} << 62}) {
    const Permutation permutation(size, key());
    std::set<uint64_t> values;
    for (uint64_t i = 0; i < 1000; ++i)
      values.insert(permutation(i)), values.insert(permutation(size - 1 - i));
    EXPECT_EQ(values.size(), 2000u);
    EXPECT_LT(*values.rbegin(), size);
    // 2000 draws spread over the whole range.
    EXPECT_LT(*values.begin(), size / 100);
    EXPECT_GT(*values.rbegin(), size - size / 100);
  }
}

TEST(Permutation, RefusesAPositionOutsideAndAnImpossibleSize) {
  EXPECT_CONTAINS(error_of(ErrorCode::Internal, [] { Permutation(5, key())(5); }),
                  "position < size_");
  EXPECT_CONTAINS(error_of(ErrorCode::Internal, [] { Permutation(0, key())(0); }),
                  "position < size_");
  EXPECT_CONTAINS(
      error_of(ErrorCode::Internal, [] { Permutation((uint64_t{1} << 62) + 1, key()); }),
      "size <=");
}

TEST(Permutation, ReachesEveryOrderOfAFewEquallyOften) {
  for (const uint64_t size : {2ull, 3ull, 4ull}) {
    std::map<std::vector<uint64_t>, int64_t> counts;
    for (uint64_t seed = 0; seed < 12000; ++seed) {
      const Permutation permutation(size, key(seed));
      std::vector<uint64_t> order;
      for (uint64_t i = 0; i < size; ++i) order.push_back(permutation(i));
      ++counts[order];
    }
    std::vector<int64_t> cells;
    for (const auto& [order, count] : counts) cells.push_back(count);
    EXPECT_EQ(cells.size(), size == 2 ? 2u : size == 3 ? 6u : 24u);
    EXPECT_LT(chi_square(cells), chi_square_limit(cells.size()));
  }
}

TEST(Permutation, SendsAPositionAnywhereAcrossSeeds) {
  for (const uint64_t position : {0ull, 1ull, 99ull}) {
    std::vector<int64_t> counts(100);
    for (uint64_t seed = 0; seed < 20000; ++seed) ++counts[Permutation(100, key(seed))(position)];
    EXPECT_LT(chi_square(counts), chi_square_limit(100)) << position;
  }
}

TEST(Permutation, NeighboursDoNotStayNeighbours) {
  const Permutation permutation(10000, key());
  int close = 0;
  for (uint64_t i = 0; i + 1 < 10000; ++i) {
    const auto a = static_cast<int64_t>(permutation(i)),
               b = static_cast<int64_t>(permutation(i + 1));
    close += std::abs(a - b) <= 10;
  }
  EXPECT_NEAR(close, 20, 20);  // 2 * 10 / 10000 of all pairs
}

}  // namespace
}  // namespace flanmoe
