#include "base/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace flanmoe {

namespace {

constexpr int kBarWidth = 24;
constexpr std::chrono::milliseconds kRedrawInterval{100};
constexpr std::chrono::seconds kLineInterval{10};

std::atomic<bool> is_disabled{false};
std::atomic<bool> has_open_line{false};  // a bar stands on the terminal's last line

bool is_stderr_terminal() {
  const char* kind = std::getenv("TERM");
  return isatty(STDERR_FILENO) && !(kind && std::string_view(kind) == "dumb");
}

size_t terminal_columns() {
  winsize size = {};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

double seconds_between(std::chrono::steady_clock::time_point from,
                       std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

std::string make_bar(int64_t done, int64_t total) {
  const double fraction =
      std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0);
  const int filled = static_cast<int>(fraction * kBarWidth);
  return "[" + std::string(filled, '#') + std::string(kBarWidth - filled, '.') + "] ";
}

// At most `columns` characters; cuts between UTF-8 characters.
std::string cut(std::string text, size_t columns) {
  size_t count = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) continue;
    if (count++ == columns) {
      text.resize(i);
      break;
    }
  }
  return text;
}

void write_stderr(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

Progress::Progress(std::string label, int64_t total, std::string unit, bool is_enabled)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      is_enabled_(is_enabled && !is_disabled),
      is_terminal_(is_stderr_terminal()),
      start_(Clock::now()),
      last_draw_(start_ - kRedrawInterval) {
  if (!is_terminal_) last_draw_ = start_;
}

Progress::~Progress() {
  try {
    finish();
  } catch (...) {  // out of memory while another error is on its way up
  }
}

void Progress::update(int64_t done, const std::string& suffix) {
  if (!is_enabled_ || is_finished_ || is_disabled) return;
  const auto now = Clock::now();
  if (first_done_ < 0) {  // the rate counts from here: a resumed run does not begin at 0
    first_done_ = done;
    start_ = now;
  }
  done_ = done;
  suffix_ = suffix;
  std::replace(suffix_.begin(), suffix_.end(), '\n', ' ');
  if (is_terminal_ ? now - last_draw_ >= kRedrawInterval : now - last_draw_ >= kLineInterval)
    draw(false);
}

void Progress::finish() {
  if (is_finished_) return;
  is_finished_ = true;
  if (is_enabled_ && !is_disabled && first_done_ >= 0) draw(true);
}

void Progress::draw(bool is_last) {
  last_draw_ = Clock::now();
  const double elapsed = seconds_between(start_, last_draw_);
  const double rate = elapsed > 0 ? static_cast<double>(done_ - first_done_) / elapsed : 0;

  std::string line = label_ + " ";
  if (is_terminal_ && total_ > 0) line += make_bar(done_, total_);
  line += total_ > 0 ? fmt::format("{}/{} {}", done_, total_, unit_)
                     : fmt::format("{} {}", done_, unit_);
  if (rate > 0) line += fmt::format("  {} {}/s", format_count(rate), unit_);
  if (is_last)
    line += "  in " + format_duration(elapsed);
  else if (rate > 0 && total_ > done_)
    line += "  " + format_duration(static_cast<double>(total_ - done_) / rate) + " left";
  if (!suffix_.empty()) line += "  " + suffix_;

  if (!is_terminal_) {
    write_stderr(line + "\n");
    return;
  }
  // One column is left free: a full line would wrap on some terminals.
  write_stderr("\r" + cut(line, terminal_columns() - 1) + "\033[K" + (is_last ? "\n" : ""));
  has_open_line = !is_last;
}

void disable_progress() {
  is_disabled = true;
}

void clear_progress_line() {
  if (has_open_line.exchange(false)) write_stderr("\r\033[K");
}

std::string format_duration(double seconds) {
  if (!(seconds >= 0) || seconds > 1e9) return "? s";
  if (seconds < 0.95) return fmt::format("{:.1f} s", seconds);
  const int64_t whole = std::llround(seconds);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  const int64_t minutes = std::llround(seconds / 60);
  if (minutes < 24 * 60) return fmt::format("{} h {} min", minutes / 60, minutes % 60);
  const int64_t hours = std::llround(seconds / 3600);
  return fmt::format("{} d {} h", hours / 24, hours % 24);
}

std::string format_count(double value) {
  if (!std::isfinite(value)) return fmt::format("{}", value);
  static constexpr std::string_view kUnits[] = {"", " k", " M", " G", " T", " P", " E"};
  size_t unit = 0;
  while (std::abs(value) >= 999.5 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  if (unit == 0) return fmt::format("{:.3g}", value);
  const double size = std::abs(value);
  return fmt::format("{:.{}f}{}", value, size < 9.995 ? 2 : size < 99.95 ? 1 : 0, kUnits[unit]);
}

}  // namespace flanmoe
