#include "data/batch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/random.h"

namespace flanmoe::data {
namespace {

TokenizedExample draw(uint64_t position) {
  RandomStream random(RandomKey(17, RandomPurpose::Generator).fold(position));
  TokenizedExample example;
  example.key = position;
  example.inputs.assign(1 + random.below(30), static_cast<int32_t>(10 + position % 50));
  example.targets.assign(1 + random.below(6), 7);
  example.inputs.back() = example.targets.back() = 1;
  return example;
}

BatchConfig small_config() {
  BatchConfig config;
  config.batch_size = 5;
  config.bucket_batches = 4;
  config.input_length = 20;
  config.target_length = 4;
  return config;
}

TEST(Batch, PadsOnTheRightAndCountsRealTokens) {
  const Batch batch = make_batch({{1, {5, 6, 1}, {8, 1}}, {2, {7, 1}, {8, 9, 9, 1}}});
  EXPECT_EQ(batch.num_rows, 2);
  EXPECT_EQ(batch.input_length, 3);
  EXPECT_EQ(batch.target_length, 4);
  EXPECT_EQ(batch.input_ids, (std::vector<int64_t>{5, 6, 1, 7, 1, 0}));
  EXPECT_EQ(batch.input_segment_ids, (std::vector<int64_t>{1, 1, 1, 1, 1, 0}));
  EXPECT_EQ(batch.input_positions, (std::vector<int64_t>{0, 1, 2, 0, 1, 2}));
  EXPECT_EQ(batch.target_ids, (std::vector<int64_t>{8, 1, 0, 0, 8, 9, 9, 1}));
  EXPECT_EQ(batch.target_segment_ids, (std::vector<int64_t>{1, 1, 0, 0, 1, 1, 1, 1}));
  EXPECT_EQ(batch.example_keys, (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(batch.num_input_tokens, 5);
  EXPECT_EQ(batch.num_target_tokens, 6);
}

TEST(BatchStream, EveryExampleOfABucketComesOnceAndCutOnesKeepTheirEnd) {
  BatchStream stream(draw, small_config(), 1);
  int64_t num_too_long = 0;
  for (uint64_t bucket = 0; bucket < 3; ++bucket) {
    std::multiset<uint64_t> keys;
    for (uint64_t b = 0; b < 4; ++b) {
      const Batch batch = stream.get(bucket * 4 + b);
      EXPECT_EQ(batch.num_rows, 5);
      EXPECT_LE(batch.input_length, 20);
      EXPECT_LE(batch.target_length, 4);
      for (int64_t row = 0; row < 5; ++row) {
        const uint64_t key = batch.example_keys[static_cast<size_t>(row)];
        keys.insert(key);
        const TokenizedExample raw = draw(key);
        num_too_long += raw.inputs.size() > 20 || raw.targets.size() > 4;
        const auto length = static_cast<int64_t>(std::min<size_t>(raw.inputs.size(), 20));
        EXPECT_EQ(batch.input_ids[static_cast<size_t>(row * batch.input_length + length - 1)], 1);
        if (length > 1) {
          EXPECT_EQ(batch.input_ids[static_cast<size_t>(row * batch.input_length)], raw.inputs[0]);
        }
      }
    }
    ASSERT_EQ(keys.size(), 20u);
    EXPECT_EQ(*keys.begin(), bucket * 20);
    EXPECT_EQ(*keys.rbegin(), bucket * 20 + 19);
    EXPECT_EQ(std::set<uint64_t>(keys.begin(), keys.end()).size(), 20u);
  }
  EXPECT_GT(num_too_long, 0);
  EXPECT_EQ(stream.num_truncated(), num_too_long);
}

TEST(BatchStream, AnyOrderOfIndicesGivesTheSameBatches) {
  BatchStream forward(draw, small_config(), 1), backward(draw, small_config(), 1),
      other(draw, small_config(), 2);
  std::vector<Batch> batches;
  for (uint64_t i = 0; i < 12; ++i) batches.push_back(forward.get(i));
  bool is_different = false;
  for (uint64_t i = 12; i-- > 0;) {
    const Batch batch = backward.get(i);
    EXPECT_EQ(batch.input_ids, batches[i].input_ids);
    EXPECT_EQ(batch.target_ids, batches[i].target_ids);
    EXPECT_EQ(batch.example_keys, batches[i].example_keys);
    is_different |= other.get(i).example_keys != batches[i].example_keys;
  }
  EXPECT_TRUE(is_different);
}

TEST(BatchStream, SortingSavesPadding) {
  auto count_padded = [](int64_t bucket_batches) {
    BatchConfig config = small_config();
    config.bucket_batches = bucket_batches;
    BatchStream stream(draw, config, 1);
    size_t num_padded = 0;
    for (uint64_t i = 0; i < 64; ++i) {
      const Batch batch = stream.get(i);
      num_padded += batch.input_ids.size() - static_cast<size_t>(batch.num_input_tokens);
    }
    return num_padded;
  };
  EXPECT_LT(count_padded(16) * 4, count_padded(1));
}

TEST(BatchStream, RefusesZeroSizes) {
  BatchConfig config;
  config.batch_size = 0;
  EXPECT_THROW(BatchStream(draw, config, 1), Error);
}

}  // namespace
}  // namespace flanmoe::data
