#include "train/checkpoints/background_thread.h"

#include <utility>

#include "base/thread_priority.h"

namespace flanmoe::train {
namespace {

// Not the lowest: on a machine that others use too, training would wait long for a thread that
// hardly ever runs.
constexpr int kNice = 5;

}  // namespace

BackgroundThread::~BackgroundThread() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void BackgroundThread::run() {
  lower_thread_priority(kNice);
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return job_ || is_stopping_; });
    if (!job_) return;
    lock.unlock();
    std::exception_ptr error;
    try {
      job_();
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    job_ = nullptr;
    error_ = error;
    changed_.notify_all();
  }
}

void BackgroundThread::rethrow(std::unique_lock<std::mutex>& lock) {
  if (!error_) return;
  const std::exception_ptr error = std::exchange(error_, nullptr);
  lock.unlock();
  std::rethrow_exception(error);
}

void BackgroundThread::start(std::function<void()> job) {
  wait();
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  {
    const std::lock_guard lock(mutex_);
    job_ = std::move(job);
  }
  changed_.notify_all();
}

void BackgroundThread::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !job_; });
  rethrow(lock);
}

void BackgroundThread::check() {
  std::unique_lock lock(mutex_);
  if (!job_) rethrow(lock);
}

bool BackgroundThread::is_busy() const {
  const std::lock_guard lock(mutex_);
  return job_ != nullptr;
}

}  // namespace flanmoe::train
