#include "base/interrupt.h"

#include <csignal>

#include <atomic>

namespace flanmoe {

namespace {

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "the handler needs a flag without a lock");

void handle_signal(int signal) {
  if (!interrupted.exchange(true)) return;
  // Blocked until the handler returns, then fatal: the shell sees the true cause.
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

void install_interrupt_handler() {
  struct sigaction action = {};
  action.sa_handler = handle_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool is_interrupted() {
  return interrupted.load(std::memory_order_relaxed);
}

void set_interrupted(bool value) {
  interrupted = value;
}

}  // namespace flanmoe
