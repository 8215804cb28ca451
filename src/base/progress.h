// A progress bar with rate and time left on a terminal (stderr), and a plain line now and then
// otherwise.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"

namespace flanmoe {

// What one line of progress says, in this order; parts that are empty are left out.
struct ProgressLine {
  std::string label;                 // "tune"
  double fraction = -1;              // done of all, for the bar; negative: no bar
  std::string count;                 // "120/1000 steps"
  std::string time;                  // "4:44 left"
  std::vector<std::string> figures;  // "loss 2.31", ...; the most important first
};
// In at most `columns` characters: the bar becomes shorter and goes, then figures go from the last,
// then the rest is cut between two characters.
std::string format_progress(const ProgressLine& line, size_t columns);

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
  // Where the work is not counted by one unit: the share of it that is done, which gives the time
  // left, and what is shown.
  void update(double fraction, const std::string& count, const std::vector<std::string>& figures);
  // Draws the last state and ends the line. Called by the destructor too.
  void finish();

 private:
  bool is_due(Clock::time_point now) const;
  void draw(bool is_last);
  std::string unit_;
  int64_t total_, first_done_ = -1;
  ProgressLine line_;
  double first_fraction_ = -1;
  bool is_enabled_, is_terminal_, is_begun_ = false, is_finished_ = false;
  Clock::time_point start_, last_draw_;
};

// For --json and tests: all bars are off from here on.
void disable_progress();
// Wipes a bar that stands on the terminal, so that a log line does not run into it; it is drawn
// again later.
void clear_progress_line();

// "3 s", "2 min 5 s", "1 h 4 min".
std::string format_duration(double seconds);
// "0:03", "2:05", "1:04:09", "3 d 1:04:09".
std::string format_clock(double seconds);
// 1234567 -> "1.23 M".
std::string format_count(double value);

}  // namespace flanmoe
