// One thread beside the training's, for work that nobody waits for.
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace flanmoe::train {

// Does one job at a time, at a lower priority than compute threads. For one calling thread.
class BackgroundThread {
 public:
  BackgroundThread() = default;
  // Waits for the job; what that throws is lost.
  ~BackgroundThread();
  BackgroundThread(const BackgroundThread&) = delete;
  BackgroundThread& operator=(const BackgroundThread&) = delete;

  // Waits for the job before, as wait() does.
  void start(std::function<void()> job);
  // Until there is no job. Throws what the job threw, once.
  void wait();
  // Throws what a job that has ended threw, once; does not wait.
  void check();
  bool is_busy() const;

 private:
  void run();
  void rethrow(std::unique_lock<std::mutex>& lock);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> job_;
  std::exception_ptr error_;
  bool is_stopping_ = false;
  std::thread thread_;  // from the first job on
};

}  // namespace flanmoe::train
