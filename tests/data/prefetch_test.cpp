#include "data/prefetch.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <future>

#include "base/error.h"
#include "base/random.h"

namespace flanmoe::data {
namespace {

TokenizedExample draw(uint64_t position) {
  RandomStream random(RandomKey(5, RandomPurpose::Generator).fold(position));
  TokenizedExample example;
  example.key = position + 1;
  example.inputs.assign(1 + random.below(30), 9);
  example.targets.assign(1 + random.below(6), 7);
  return example;
}

BatchConfig config() {
  BatchConfig config;
  config.batch_size = 3;
  config.packing = Packing::BestFit;
  config.packing_window = 40;
  config.input_length = 60;
  config.target_length = 20;
  return config;
}

TEST(Prefetcher, GivesTheBatchesOfTheStreamWhateverIsAhead) {
  for (const int64_t num_ahead : {1, 2, 16}) {
    BatchStream stream(draw, config(), 1);
    Prefetcher prefetcher(BatchStream(draw, config(), 1), num_ahead);
    for (int i = 0; i < 40; ++i) {
      const Batch want = stream.next();
      const Prefetcher::Item item = prefetcher.next();
      EXPECT_EQ(item.batch.input_ids, want.input_ids);
      EXPECT_EQ(item.batch.example_keys, want.example_keys);
      EXPECT_EQ(item.next, stream.cursor());
      EXPECT_GE(item.wait_s, 0);
    }
  }
}

TEST(Prefetcher, GivesWayToComputeThreads) {
  const auto priority = [] { return getpriority(PRIO_PROCESS, static_cast<id_t>(gettid())); };
  const int before = priority();
  std::atomic<int> inside{-100};
  Prefetcher prefetcher(BatchStream(
      [&](uint64_t position) {
        inside = priority();
        return draw(position);
      },
      config(), 1));
  BatchStream stream(draw, config(), 1);
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(prefetcher.next().batch.input_ids, stream.next().input_ids);
  EXPECT_EQ(inside, 19);
  EXPECT_EQ(priority(), before);
}

TEST(Prefetcher, GoesOnFromACursorThatWasNotTheLastOneMade) {
  BatchStream stream(draw, config(), 1);
  Cursor cursor;
  {
    Prefetcher first(BatchStream(draw, config(), 1));
    for (int i = 0; i < 7; ++i) {
      stream.next();
      cursor = first.next().next;
    }
  }
  BatchStream resumed(draw, config(), 1);
  resumed.seek(cursor);
  Prefetcher second(std::move(resumed));
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(second.next().batch.example_keys, stream.next().example_keys);
}

TEST(Prefetcher, CarriesAnErrorBehindTheBatchesBeforeIt) {
  const auto broken = [](uint64_t position) {
    if (position == 100) fail(ErrorCode::CorruptFile, "line 101");
    return draw(position);
  };
  BatchStream stream(draw, config(), 1);
  Prefetcher prefetcher(BatchStream(broken, config(), 1));
  for (;;) {  // batches of whole windows; that of position 100 is the third
    const Batch want = stream.next();
    if (stream.cursor().window > 2 || (stream.cursor().window == 2 && stream.cursor().row > 0))
      break;
    EXPECT_EQ(prefetcher.next().batch.example_keys, want.example_keys);
  }
  for (int again : {0, 1}) {
    try {
      prefetcher.next();
      ADD_FAILURE() << again;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::CorruptFile);
      EXPECT_NE(std::string(error.what()).find("line 101"), std::string::npos);
    }
  }
}

// It neither draws without bound nor has to be emptied before it goes.
TEST(Prefetcher, DrawsNoFurtherThanItMayAndStopsAtOnce) {
  std::atomic<uint64_t> last{0};
  std::promise<void> is_far;
  BatchConfig small = config();
  small.packing = Packing::None;
  small.bucket_batches = 1;  // three examples a window and batch
  const auto counting = [&](uint64_t position) {
    last = std::max(last.load(), position);
    if (position == 5 * 3 - 1) is_far.set_value();  // four wait, the fifth is held
    return draw(position);
  };
  {
    Prefetcher prefetcher(BatchStream(counting, small, 1), 4);
    is_far.get_future().wait();
  }
  EXPECT_EQ(last, 5 * 3 - 1);
}

TEST(Prefetcher, StopsWhereNothingWasAskedFor) {
  for (int i = 0; i < 50; ++i) Prefetcher(BatchStream(draw, config(), 1), 2);
}

}  // namespace
}  // namespace flanmoe::data
