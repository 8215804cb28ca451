#include "data/batch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "base/error.h"
#include "base/json.h"
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
  EXPECT_EQ(batch.input_positions, (std::vector<int64_t>{0, 1, 2, 0, 1, 0}));
  EXPECT_EQ(batch.target_ids, (std::vector<int64_t>{8, 1, 0, 0, 8, 9, 9, 1}));
  EXPECT_EQ(batch.target_segment_ids, (std::vector<int64_t>{1, 1, 0, 0, 1, 1, 1, 1}));
  EXPECT_EQ(batch.example_keys, (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(batch.num_input_tokens, 5);
  EXPECT_EQ(batch.num_target_tokens, 6);
  EXPECT_EQ(batch.num_examples, 2);
  EXPECT_EQ(batch.max_segments, 1);
}

// seqio's EncDecFeatureConverter with pack = True.
TEST(Batch, LaysSegmentsSideBySideOnBothSides) {
  const Batch batch = make_packed_batch(
      {{{1, {5, 6, 1}, {8, 1}}, {2, {7, 1}, {8, 9, 9, 1}}}, {{3, {4, 4, 4, 1}, {1}}}});
  EXPECT_EQ(batch.input_ids, (std::vector<int64_t>{5, 6, 1, 7, 1, 4, 4, 4, 1, 0}));
  EXPECT_EQ(batch.input_segment_ids, (std::vector<int64_t>{1, 1, 1, 2, 2, 1, 1, 1, 1, 0}));
  EXPECT_EQ(batch.input_positions, (std::vector<int64_t>{0, 1, 2, 0, 1, 0, 1, 2, 3, 0}));
  EXPECT_EQ(batch.target_ids, (std::vector<int64_t>{8, 1, 8, 9, 9, 1, 1, 0, 0, 0, 0, 0}));
  EXPECT_EQ(batch.target_segment_ids, (std::vector<int64_t>{1, 1, 2, 2, 2, 2, 1, 0, 0, 0, 0, 0}));
  EXPECT_EQ(batch.target_positions, (std::vector<int64_t>{0, 1, 0, 1, 2, 3, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(batch.example_keys, (std::vector<uint64_t>{1, 2, 3, 0}));
  EXPECT_EQ(batch.max_segments, 2);
  EXPECT_EQ(batch.num_examples, 3);
  EXPECT_EQ(batch.num_input_tokens, 9);
  EXPECT_EQ(batch.num_target_tokens, 7);
}

BatchConfig packed_config() {
  BatchConfig config = small_config();
  config.packing = Packing::BestFit;
  config.packing_window = 64;
  config.input_length = 40;
  config.target_length = 12;
  return config;
}

void expect_equal(const Batch& a, const Batch& b) {
  EXPECT_EQ(a.input_ids, b.input_ids);
  EXPECT_EQ(a.input_segment_ids, b.input_segment_ids);
  EXPECT_EQ(a.target_ids, b.target_ids);
  EXPECT_EQ(a.target_segment_ids, b.target_segment_ids);
  EXPECT_EQ(a.example_keys, b.example_keys);
  EXPECT_EQ(to_json(a.statistics), to_json(b.statistics));
}

// Keys of the examples of a batch (the examples of draw() have no key 0 but the first).
std::vector<uint64_t> list_keys(const Batch& batch) {
  std::vector<uint64_t> keys;
  const auto num_rows = static_cast<size_t>(batch.num_rows),
             max_segments = static_cast<size_t>(batch.max_segments),
             length = static_cast<size_t>(batch.target_length);
  for (size_t row = 0; row < num_rows; ++row) {
    const auto begin = batch.target_segment_ids.begin() + static_cast<std::ptrdiff_t>(row * length);
    const int64_t count = *std::max_element(begin, begin + static_cast<std::ptrdiff_t>(length));
    for (size_t s = 0; s < static_cast<size_t>(count); ++s)
      keys.push_back(batch.example_keys[row * max_segments + s]);
  }
  return keys;
}

TEST(BatchStream, EveryExampleOfABucketComesOnceAndCutOnesKeepTheirEnd) {
  BatchStream stream(draw, small_config(), 1);
  PackingStatistics total, want;
  for (uint64_t bucket = 0; bucket < 3; ++bucket) {
    std::multiset<uint64_t> keys;
    for (uint64_t b = 0; b < 4; ++b) {
      EXPECT_EQ(stream.cursor(), (Cursor{bucket, b * 5}));
      const Batch batch = stream.next();
      total.add(batch.statistics);
      EXPECT_EQ(batch.num_rows, 5);
      EXPECT_LE(batch.input_length, 20);
      EXPECT_LE(batch.target_length, 4);
      for (int64_t row = 0; row < 5; ++row) {
        const uint64_t key = batch.example_keys[static_cast<size_t>(row)];
        keys.insert(key);
        const TokenizedExample raw = draw(key);
        const auto inputs = static_cast<int64_t>(raw.inputs.size()),
                   targets = static_cast<int64_t>(raw.targets.size());
        want.num_cut_inputs += inputs > 20;
        want.num_cut_targets += targets > 4;
        want.lost_tokens.inputs += std::max<int64_t>(0, inputs - 20);
        want.lost_tokens.targets += std::max<int64_t>(0, targets - 4);
        const int64_t length = std::min<int64_t>(inputs, 20);
        want.add_row({length, std::min<int64_t>(targets, 4)}, 1, {20, 4});
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
  EXPECT_GT(want.num_cut_inputs, 0);
  EXPECT_GT(want.num_cut_targets, 0);
  Json got = to_json(total), expected = to_json(want);
  EXPECT_NEAR(total.closing_fill(), want.closing_fill(), 1e-12);
  got.erase("closing_fill");  // a sum of fractions, in another order
  expected.erase("closing_fill");
  EXPECT_EQ(got, expected);
}

TEST(BatchStream, PackedWindowsHoldEveryExampleOnceWithinTheRow) {
  const BatchConfig config = packed_config();
  BatchStream stream(draw, config, 1);
  std::map<uint64_t, int> seen;
  PackingStatistics total;
  while (stream.cursor().window < 4) {
    const Batch batch = stream.next();
    total.add(batch.statistics);
    EXPECT_EQ(batch.num_rows, 5);
    EXPECT_LE(batch.input_length, 40);
    EXPECT_LE(batch.target_length, 12);
    EXPECT_EQ(batch.num_examples, batch.statistics.num_segments);
    EXPECT_EQ(batch.num_input_tokens, batch.statistics.tokens.inputs);
    EXPECT_EQ(batch.num_target_tokens, batch.statistics.tokens.targets);
    for (const uint64_t key : list_keys(batch)) ++seen[key];
    // what stands in a segment is the example that its key names
    for (size_t row = 0; row < 5; ++row)
      for (size_t i = 0; i < static_cast<size_t>(batch.input_length); ++i) {
        const size_t at = row * static_cast<size_t>(batch.input_length) + i;
        if (batch.input_segment_ids[at] == 0) continue;
        const uint64_t key =
            batch.example_keys[row * static_cast<size_t>(batch.max_segments) +
                               static_cast<size_t>(batch.input_segment_ids[at] - 1)];
        EXPECT_EQ(batch.input_ids[at],
                  draw(key).inputs[static_cast<size_t>(batch.input_positions[at])]);
      }
  }
  for (uint64_t key = 0; key < 4 * 64; ++key) EXPECT_EQ(seen[key], 1) << key;
  EXPECT_GT(total.closing_fill(), 0.9);
}

// Batches run over the ends of windows, so that all have batch_size rows.
TEST(BatchStream, ACursorIsAllThatAContinuationNeeds) {
  for (const BatchConfig& config : {small_config(), packed_config()}) {
    BatchStream whole(draw, config, 1);
    std::vector<Batch> batches;
    std::vector<Cursor> cursors;
    for (int i = 0; i < 30; ++i) {
      cursors.push_back(whole.cursor());
      batches.push_back(whole.next());
    }
    EXPECT_GT(whole.cursor().window, 3u);
    BatchStream jumping(draw, config, 1);
    for (size_t i = 30; i-- > 0;) {
      jumping.seek(cursors[i]);
      expect_equal(jumping.next(), batches[i]);
      BatchStream fresh(draw, config, 1);
      fresh.seek(cursors[i]);
      for (size_t j = i; j < std::min<size_t>(i + 3, 30); ++j)
        expect_equal(fresh.next(), batches[j]);
    }
    bool is_different = false;
    BatchStream other(draw, config, 2);
    for (const Batch& batch : batches)
      is_different |= other.next().example_keys != batch.example_keys;
    EXPECT_TRUE(is_different);
  }
}

TEST(BatchStream, WorkersShareTheRowsOfEveryBatch) {
  for (BatchConfig config : {small_config(), packed_config()})
    for (const int64_t num_workers : {1, 2, 3, 5}) {
      BatchStream whole(draw, config, 1);
      std::vector<BatchStream> workers;
      for (int64_t w = 0; w < num_workers; ++w)
        workers.emplace_back(draw, config, 1, w, num_workers);
      for (int step = 0; step < 12; ++step) {
        const Batch all = whole.next();
        std::vector<uint64_t> keys;
        int64_t num_rows = 0, num_tokens = 0;
        for (BatchStream& worker : workers) {
          const Batch part = worker.next();
          EXPECT_GE(part.num_rows, 1);
          num_rows += part.num_rows;
          num_tokens += part.num_input_tokens;
          for (const uint64_t key : list_keys(part)) keys.push_back(key);
          EXPECT_EQ(worker.cursor(), whole.cursor());
        }
        EXPECT_EQ(keys, list_keys(all));
        EXPECT_EQ(num_rows, 5);
        EXPECT_EQ(num_tokens, all.num_input_tokens);
      }
    }
}

TEST(BatchStream, StandsWhereItStoodAfterAnError) {
  bool fails = true;
  const auto unsteady = [&](uint64_t position) {
    if (position == 70 && fails) fail(ErrorCode::CorruptFile, "line 71");
    return draw(position);
  };
  BatchStream stream(unsteady, packed_config(), 1), whole(draw, packed_config(), 1);
  Cursor cursor;
  for (;;) {
    cursor = stream.cursor();
    try {
      const Batch batch = stream.next();
      expect_equal(batch, whole.next());
    } catch (const Error&) {
      break;
    }
  }
  EXPECT_EQ(stream.cursor(), cursor);
  EXPECT_EQ(stream.cursor().window, 0u);
  EXPECT_THROW(stream.next(), Error);
  fails = false;
  expect_equal(stream.next(), whole.next());
}

TEST(BatchStream, SortingSavesPadding) {
  auto count_padded = [](int64_t bucket_batches) {
    BatchConfig config = small_config();
    config.bucket_batches = bucket_batches;
    BatchStream stream(draw, config, 1);
    size_t num_padded = 0;
    for (uint64_t i = 0; i < 64; ++i) {
      const Batch batch = stream.next();
      num_padded += batch.input_ids.size() - static_cast<size_t>(batch.num_input_tokens);
    }
    return num_padded;
  };
  EXPECT_LT(count_padded(16) * 4, count_padded(1));
}

TEST(MeasurePacking, TakesWholeWindows) {
  for (const BatchConfig& config : {small_config(), packed_config()}) {
    const int64_t window = config.packing == Packing::None ? 20 : 64;
    const PackingStatistics statistics = measure_packing(draw, config, 1, window + 1);
    EXPECT_EQ(statistics.num_segments, 2 * window);
    int64_t num_tokens = 0;
    for (int64_t i = 0; i < 2 * window; ++i)
      num_tokens += std::min<int64_t>(
          static_cast<int64_t>(draw(static_cast<uint64_t>(i)).inputs.size()), config.input_length);
    EXPECT_EQ(statistics.tokens.inputs, num_tokens);
    EXPECT_EQ(measure_packing(draw, config, 1, 0).num_rows, 0);
  }
}

TEST(BatchStream, RefusesWhatCannotBe) {
  const auto message = [](const std::function<void()>& run) -> std::string {
    try {
      run();
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing";
  };
  const auto refuse = [&](const std::function<void(BatchConfig&)>& change, const char* key) {
    BatchConfig config = packed_config();
    change(config);
    EXPECT_NE(message([&] { BatchStream(draw, config, 1); }).find(std::string(key) + " is 0"),
              std::string::npos)
        << key;
  };
  refuse([](BatchConfig& c) { c.batch_size = 0; }, "batch_size");
  refuse([](BatchConfig& c) { c.packing_window = 0; }, "packing_window");
  refuse([](BatchConfig& c) { c.target_length = 0; }, "target_length");
  EXPECT_NE(message([] { BatchStream(draw, packed_config(), 1, 2, 2); }).find("no worker 2 of 2"),
            std::string::npos);
  EXPECT_NE(message([] { BatchStream(draw, packed_config(), 1, 0, 6); }).find("6 workers"),
            std::string::npos);
  BatchStream stream(draw, packed_config(), 1);
  stream.seek({2, 64});
  EXPECT_NE(message([&] { stream.next(); }).find("row 64 of window 2, which has"),
            std::string::npos);
}

}  // namespace
}  // namespace flanmoe::data
