// Batches made ahead of the training loop.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "data/batch.h"

namespace flanmoe::data {

// One background thread, outside any pool of compute threads and of the lowest priority, calls
// BatchStream::next() and keeps up to `num_ahead` batches; it sleeps while so many are waiting. The
// batches are those of the stream, in its order, however far the thread has run ahead.
class Prefetcher {
 public:
  struct Item {
    Batch batch;
    Cursor next;        // where the stream goes on behind this batch: what a checkpoint keeps
    double wait_s = 0;  // how long the caller was held up
  };

  explicit Prefetcher(BatchStream stream, int64_t num_ahead = 16);
  // Stops the thread; a batch that it is making is finished first.
  ~Prefetcher();
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  // The next batch. What the stream throws comes out of here, behind the batches made before, and
  // again in every later call.
  Item next();

 private:
  void run();

  BatchStream stream_;
  const size_t num_ahead_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> items_;
  std::exception_ptr error_;
  bool is_stopping_ = false;
  std::thread thread_;  // last: it uses all the others
};

}  // namespace flanmoe::data
