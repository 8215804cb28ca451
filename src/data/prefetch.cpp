#include "data/prefetch.h"

#include <algorithm>

#include "base/clock.h"
#include "base/thread_priority.h"

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
// the end of every parallel loop, and while they wait for a batch the core is free anyway.
constexpr int kNice = 19;

}  // namespace

void Prefetcher::run() {
  lower_thread_priority(kNice);
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
  const auto start = Clock::now();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return error_ || !items_.empty(); });
  if (items_.empty()) std::rethrow_exception(error_);
  Item item = std::move(items_.front());
  items_.pop_front();
  changed_.notify_all();
  item.wait_s = seconds_since(start);
  return item;
}

}  // namespace flanmoe::data
