#include "train/checkpoints/background_thread.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <future>
#include <stdexcept>

namespace flanmoe::train {
namespace {

TEST(BackgroundThread, DoesOneJobAtATimeInOrder) {
  std::vector<int> done;  // no lock: jobs and wait() follow each other
  BackgroundThread thread;
  thread.wait();
  for (int i = 0; i < 100; ++i) thread.start([&done, i] { done.push_back(i); });
  thread.wait();
  ASSERT_EQ(done.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(done[static_cast<size_t>(i)], i);
}

TEST(BackgroundThread, RunsBesideTheCallerAtALowerPriority) {
  std::promise<void> may_end;
  std::atomic<int> priority = -100;
  BackgroundThread thread;
  EXPECT_FALSE(thread.is_busy());
  thread.start([&] {
    priority = getpriority(PRIO_PROCESS, 0);
    may_end.get_future().wait();
  });
  EXPECT_TRUE(thread.is_busy());
  thread.check();  // does not wait
  may_end.set_value();
  thread.wait();
  EXPECT_FALSE(thread.is_busy());
  if (const int own = getpriority(PRIO_PROCESS, 0); own < 5) EXPECT_GT(priority, own);
}

TEST(BackgroundThread, HandsOverWhatAJobThrewOnce) {
  BackgroundThread thread;
  const auto fail = [] { throw std::runtime_error("planted"); };
  thread.start(fail);
  EXPECT_THROW(thread.wait(), std::runtime_error);
  thread.wait();
  thread.check();

  thread.start(fail);
  bool is_done = false;
  EXPECT_THROW(thread.start([&] { is_done = true; }), std::runtime_error);
  thread.wait();
  EXPECT_FALSE(is_done);

  thread.start(fail);
  while (thread.is_busy()) std::this_thread::yield();
  EXPECT_THROW(thread.check(), std::runtime_error);
  thread.check();
  thread.start(fail);  // the destructor swallows it
}

TEST(BackgroundThread, FinishesItsJobBeforeItGoes) {
  bool is_done = false;
  {
    BackgroundThread thread;
    std::promise<void> has_begun;
    thread.start([&] {
      has_begun.set_value();
      is_done = true;
    });
    has_begun.get_future().wait();
  }
  EXPECT_TRUE(is_done);
  bool is_late_done = false;
  {
    BackgroundThread thread;
    thread.start([&] { is_late_done = true; });
  }
  EXPECT_TRUE(is_late_done);
}

}  // namespace
}  // namespace flanmoe::train
