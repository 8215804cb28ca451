#include "data/prefetch.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

namespace flanmoe::data {

Prefetcher::Prefetcher(BatchStream stream, int64_t num_ahead)
    : stream_(std::move(stream)),
      num_ahead_(static_cast<size_t>(std::max<int64_t>(1, num_ahead))),
      thread_([this] { run(); }) {}

Prefetcher::~Prefetcher() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

namespace {

// The lowest: a compute thread that shares its core with this one would hold up all the others at
// the end of every parallel loop, and while they wait for a batch the core is free anyway. On Linux
// the priority is the thread's own. Where it cannot be set, batches are made all the same.
void yield_to_compute() {
  constexpr int kLowestPriority = 19;
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kLowestPriority);
}

}  // namespace

void Prefetcher::run() {
  yield_to_compute();
  for (;;) {
    Item item;
    std::exception_ptr error;
    try {
      item.batch = stream_.next();
      item.next = stream_.cursor();
    } catch (...) {
      error = std::current_exception();
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return is_stopping_ || items_.size() < num_ahead_; });
    if (is_stopping_) return;
    if (error)
      error_ = error;
    else
      items_.push_back(std::move(item));
    changed_.notify_all();
    if (error) return;
  }
}

Prefetcher::Item Prefetcher::next() {
  const auto start = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return error_ || !items_.empty(); });
  if (items_.empty()) std::rethrow_exception(error_);
  Item item = std::move(items_.front());
  items_.pop_front();
  changed_.notify_all();
  item.wait_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return item;
}

}  // namespace flanmoe::data
