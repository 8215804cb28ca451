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

constexpr size_t kMaxPlainColumns = 400;
constexpr int kBarWidth = 24, kMinBarWidth = 6;
constexpr std::chrono::milliseconds kRedrawInterval{100};
// Plain lines come less often the longer the work lasts: a tenth of what has passed, within these.
constexpr std::chrono::seconds kMinLineInterval{10}, kMaxLineInterval{300};

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

std::string make_bar(double fraction, int width) {
  const int filled = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * width);
  return "[" + std::string(filled, '#') + std::string(width - filled, '.') + "]";
}

size_t count_characters(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
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

std::string format_progress(const ProgressLine& line, size_t columns) {
  std::string text;
  const auto join = [&](int bar_width, size_t num_figures) {
    text = line.label;
    const auto add = [&](const std::string& part, const char* space) {
      if (part.empty()) return;
      if (!text.empty()) text += space;
      text += part;
    };
    if (bar_width > 0 && line.fraction >= 0) add(make_bar(line.fraction, bar_width), " ");
    add(line.count, " ");
    add(line.time, "  ");
    for (size_t i = 0; i < num_figures; ++i) add(line.figures[i], "  ");
    return count_characters(text) <= columns;
  };
  const size_t all = line.figures.size();
  for (int width = kBarWidth; width >= kMinBarWidth; --width)
    if (join(width, all)) return text;
  for (size_t num_figures = all + 1; num_figures-- > 0;)
    if (join(0, num_figures)) return text;
  return cut(std::move(text), columns);
}

Progress::Progress(std::string label, int64_t total, std::string unit, bool is_enabled)
    : unit_(std::move(unit)),
      total_(total),
      is_enabled_(is_enabled && !is_disabled),
      is_terminal_(is_stderr_terminal()),
      start_(Clock::now()),
      last_draw_(start_ - kRedrawInterval) {
  line_.label = std::move(label);
  if (!is_terminal_) last_draw_ = start_;
}

Progress::~Progress() {
  try {
    finish();
  } catch (...) {  // out of memory while another error is on its way up
  }
}

void Progress::update(int64_t done, const std::string& suffix) {
  if (first_done_ < 0) first_done_ = done;
  const double seconds = is_begun_ ? seconds_between(start_, Clock::now()) : 0;
  const double rate = seconds > 0 ? static_cast<double>(done - first_done_) / seconds : 0;
  std::vector<std::string> figures;
  if (!suffix.empty()) figures.push_back(suffix);
  if (rate > 0) figures.push_back(fmt::format("{} {}/s", format_count(rate), unit_));
  update(
      total_ > 0 ? static_cast<double>(done) / static_cast<double>(total_) : -1,
      total_ > 0 ? fmt::format("{}/{} {}", done, total_, unit_) : fmt::format("{} {}", done, unit_),
      figures);
}

void Progress::update(double fraction, const std::string& count,
                      const std::vector<std::string>& figures) {
  if (!is_enabled_ || is_finished_ || is_disabled) return;
  const auto now = Clock::now();
  if (!is_begun_) {  // the time left counts from here: a resumed run does not begin at 0
    is_begun_ = true;
    first_fraction_ = fraction;
    start_ = now;
  }
  line_.fraction = fraction;
  line_.count = count;
  line_.figures = figures;
  for (std::string& figure : line_.figures) std::replace(figure.begin(), figure.end(), '\n', ' ');
  if (is_due(now)) draw(false);
}

void Progress::finish() {
  if (is_finished_) return;
  is_finished_ = true;
  if (is_enabled_ && !is_disabled && is_begun_) draw(true);
}

bool Progress::is_due(Clock::time_point now) const {
  if (is_terminal_) return now - last_draw_ >= kRedrawInterval;
  return now - last_draw_ >=
         std::clamp<Clock::duration>((now - start_) / 10, kMinLineInterval, kMaxLineInterval);
}

void Progress::draw(bool is_last) {
  last_draw_ = Clock::now();
  const double seconds = seconds_between(start_, last_draw_);
  const double done = line_.fraction - first_fraction_;
  ProgressLine line = line_;
  if (is_last)
    line.time = "in " + format_duration(seconds);
  else if (first_fraction_ >= 0 && done > 0 && line.fraction < 1)
    line.time = format_clock(seconds * (1 - line.fraction) / done) + " left";

  if (!is_terminal_) {
    line.fraction = -1;
    write_stderr(format_progress(line, kMaxPlainColumns) + "\n");
    return;
  }
  // One column is left free: a full line would wrap on some terminals.
  write_stderr("\r" + format_progress(line, terminal_columns() - 1) + "\033[K" +
               (is_last ? "\n" : ""));
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

std::string format_clock(double seconds) {
  if (!(seconds >= 0) || seconds > 1e9) return "?";
  const int64_t whole = std::llround(seconds), hours = whole / 3600 % 24, days = whole / 86400;
  const std::string rest = fmt::format("{:02}:{:02}", whole / 60 % 60, whole % 60);
  if (days > 0) return fmt::format("{} d {}:{}", days, hours, rest);
  if (hours > 0) return fmt::format("{}:{}", hours, rest);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
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
