// A progress bar with rate and time left on a terminal (stderr), and a plain line now and then
// otherwise.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace flanmoe {

class Progress {
 public:
  // `unit` names what is counted ("steps", "examples"). Nothing is drawn when `is_enabled` is
  // false.
  Progress(std::string label, int64_t total, std::string unit, bool is_enabled = true);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` of `total` are done; `suffix` is shown behind the bar ("loss 2.31").
  void update(int64_t done, const std::string& suffix = {});
  // Draws the last state and ends the line. Called by the destructor too.
  void finish();

 private:
  void draw(bool is_last);
  using Clock = std::chrono::steady_clock;
  std::string label_, unit_, suffix_;
  int64_t total_, done_ = 0, first_done_ = -1;
  bool is_enabled_, is_terminal_, is_finished_ = false;
  Clock::time_point start_, last_draw_;
};

// For --json and tests: all bars are off from here on.
void disable_progress();
// Wipes a bar that stands on the terminal, so that a log line does not run into it; it is drawn
// again later.
void clear_progress_line();

// "3 s", "2 min 5 s", "1 h 4 min".
std::string format_duration(double seconds);
// 1234567 -> "1.23 M".
std::string format_count(double value);

}  // namespace flanmoe
