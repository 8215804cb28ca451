// What touches the process as a whole: signals, log lines, progress bars, memory.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <thread>
#include <vector>

#include "base/interrupt.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace flanmoe {
namespace {

using namespace std::chrono_literals;

// What `body` writes to stderr, in a process of its own; stderr is a terminal of `columns` or a
// file (0).
std::string stderr_of(int columns, const std::function<void()>& body) {
  TemporaryFolder folder;
  int reader = -1, writer = -1;
  if (columns > 0) {
    reader = posix_openpt(O_RDWR | O_NOCTTY);
    if (reader < 0 || grantpt(reader) != 0 || unlockpt(reader) != 0) return "<no terminal>";
    writer = open(ptsname(reader), O_RDWR | O_NOCTTY);
    winsize size = {};
    size.ws_col = static_cast<unsigned short>(columns);
    size.ws_row = 24;
    ioctl(writer, TIOCSWINSZ, &size);
  } else {
    writer = open((folder / "stderr").c_str(), O_RDWR | O_CREAT, 0600);
  }
  const pid_t child = fork();
  if (child == 0) {
    dup2(writer, STDERR_FILENO);
    setenv("TERM", "xterm", 1);
    body();
    fflush(nullptr);
    _exit(0);
  }
  close(writer);
  std::string text;
  if (columns > 0) {
    char block[4096];
    for (ssize_t count; (count = read(reader, block, sizeof(block))) > 0;)
      text.append(block, static_cast<size_t>(count));
    close(reader);
    waitpid(child, nullptr, 0);
  } else {
    waitpid(child, nullptr, 0);
    text = get_file(folder / "stderr");
  }
  return text;
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size()))
    ++count;
  return count;
}

// Runs `body` in a process of its own and gives the signal that ended it, or 0.
int signal_that_ends(const std::function<void()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    body();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) == 0 ? 0 : -1;
}

TEST(Interrupt, TheFirstSignalSetsTheFlagAndTheSecondEndsTheProcess) {
  for (const int signal : {SIGINT, SIGTERM}) {
    EXPECT_EQ(signal_that_ends([&] {
                install_interrupt_handler();
                if (is_interrupted()) _exit(1);
                raise(signal);
                if (!is_interrupted()) _exit(1);
              }),
              0);
    EXPECT_EQ(signal_that_ends([&] {
                install_interrupt_handler();
                raise(SIGINT);
                raise(signal);
              }),
              signal);
  }
}

TEST(Interrupt, TestsSetTheFlagByHand) {
  set_interrupted(true);
  EXPECT_TRUE(is_interrupted());
  set_interrupted(false);
  EXPECT_FALSE(is_interrupted());
}

TEST(Log, GoesToTheInstalledSinkOnly) {
  std::vector<std::pair<log::Level, std::string>> lines;
  log::info("[data] dropped");
  log::set_sink(
      [&](log::Level level, const std::string& line) { lines.emplace_back(level, line); });
  log::info("[data] {} examples", 3);
  log::warn("[data] {{braces}} {}", "{}");
  log::set_sink(nullptr);
  log::info("[data] dropped");
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].second, "[data] 3 examples");
  EXPECT_EQ(lines[1].second, "[data] {braces} {}");
  EXPECT_EQ(lines[1].first, log::Level::Warning);
}

TEST(Log, WritesTheSameTextOnce) {
  static int run = 0;  // the process remembers: --gtest_repeat needs new texts
  ++run;
  int count = 0;
  log::set_sink([&](log::Level, const std::string&) { ++count; });
  for (int i = 0; i < 6; ++i) log::warn_once("[test] ignored {} in run {}", i % 2, run);
  log::set_sink(nullptr);
  EXPECT_EQ(count, 2);
}

TEST(Log, TakesLinesFromManyThreadsAndFromASink) {
  std::vector<std::string> lines;  // without a lock of its own
  log::set_sink([&](log::Level level, const std::string& line) {
    lines.push_back(line);
    if (level == log::Level::Error) log::info("[sink] nested");
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([] {
      for (int i = 0; i < 200; ++i) log::info("[test] {}", i);
    });
  for (auto& thread : threads) thread.join();
  log::write(log::Level::Error, "[test] error");
  log::set_sink(nullptr);
  EXPECT_EQ(lines.size(), 802u);
  EXPECT_EQ(lines.back(), "[sink] nested");
}

TEST(Log, StderrSinkDropsLowerLevelsAndTakesBracesAsTheyAre) {
  const std::string text = stderr_of(0, [] {
    log::install_stderr_sink(log::Level::Warning);
    log::info("[test] quiet");
    log::warn("[test] loud {}", "{}");
  });
  EXPECT_FALSE(contains(text, "quiet")) << text;
  EXPECT_CONTAINS(text, "warning [test] loud {}\n");
}

TEST(Progress, WritesOnePlainLineForShortWorkOffATerminal) {
  const std::string text = stderr_of(0, [] {
    Progress progress("train", 600, "steps");
    for (int i = 0; i <= 120; ++i) progress.update(i, "loss 2.31");
  });
  EXPECT_EQ(count_of(text, "\n"), 1u) << text;
  EXPECT_TRUE(text.starts_with("train 120/600 steps  ")) << text;
  EXPECT_CONTAINS(text, "  loss 2.31  ");
  EXPECT_TRUE(text.ends_with(" steps/s\n")) << text;
  EXPECT_EQ(count_of(text, "\r") + count_of(text, "\033"), 0u) << text;
}

TEST(Progress, RedrawsAtMostTenTimesASecondOnATerminal) {
  const std::string text = stderr_of(120, [] {
    Progress progress("train", 100000, "steps");
    const auto end = std::chrono::steady_clock::now() + 450ms;
    for (int i = 0; std::chrono::steady_clock::now() < end; ++i)
      progress.update(std::min(i, 50000), "loss 2.31");
    progress.update(50000, "loss\n2.25");
    progress.finish();
    progress.finish();
  });
  EXPECT_GE(count_of(text, "\r"), 3u);
  EXPECT_LE(count_of(text, "\033[K"), 7u) << text;
  EXPECT_EQ(count_of(text, "\n"), 1u);
  EXPECT_CONTAINS(text, "train [############............] 50000/100000 steps  ");
  EXPECT_CONTAINS(text, " left  loss 2.31");
  EXPECT_CONTAINS(text, "  loss 2.25  ");
}

TEST(Progress, FitsANarrowTerminal) {
  const std::string text = stderr_of(20, [] {
    Progress progress("träining", 600, "steps");
    progress.update(300, "a long suffix behind it");
  });
  EXPECT_CONTAINS(text, "\rträining 300/600 st\033[K");  // 19 characters
}

TEST(Progress, CountsWithoutATotal) {
  EXPECT_TRUE(
      stderr_of(0, [] { Progress("read", 0, "lines").update(7); }).starts_with("read 7 lines"));
}

TEST(Progress, IsSilentWhenOffOrNeverUpdated) {
  EXPECT_EQ(stderr_of(80, [] { Progress("train", 10, "steps", false).update(5); }), "");
  EXPECT_EQ(stderr_of(80, [] { Progress("train", 10, "steps"); }), "");
  EXPECT_EQ(stderr_of(80,
                      [] {
                        disable_progress();
                        Progress("train", 10, "steps").update(5);
                      }),
            "");
}

TEST(Progress, MakesRoomForALogLine) {
  const std::string text = stderr_of(80, [] {
    log::install_stderr_sink(log::Level::Info);
    Progress progress("train", 10, "steps");
    progress.update(5);
    log::info("[test] hello");
  });
  const size_t wiped = text.find("\033[K\r\033[K");
  ASSERT_NE(wiped, text.npos) << text;
  EXPECT_LT(wiped, text.find("[test] hello"));
}

TEST(FormatDuration, RoundsWithoutOverflowingAUnit) {
  EXPECT_EQ(format_duration(0), "0.0 s");
  EXPECT_EQ(format_duration(0.42), "0.4 s");
  EXPECT_EQ(format_duration(0.97), "1 s");
  EXPECT_EQ(format_duration(3), "3 s");
  EXPECT_EQ(format_duration(59.7), "1 min 0 s");
  EXPECT_EQ(format_duration(125), "2 min 5 s");
  EXPECT_EQ(format_duration(3599.8), "1 h 0 min");
  EXPECT_EQ(format_duration(3840), "1 h 4 min");
  EXPECT_EQ(format_duration(86399), "1 d 0 h");
  EXPECT_EQ(format_duration(-1), "? s");
  EXPECT_EQ(format_duration(std::numeric_limits<double>::quiet_NaN()), "? s");
  EXPECT_EQ(format_duration(std::numeric_limits<double>::infinity()), "? s");
}

TEST(FormatCount, KeepsThreeDigits) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(12.34), "12.3");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(999.7), "1.00 k");
  EXPECT_EQ(format_count(1234567), "1.23 M");
  EXPECT_EQ(format_count(76961152), "77.0 M");
  EXPECT_EQ(format_count(999600), "1.00 M");
  EXPECT_EQ(format_count(248e9), "248 G");
  EXPECT_EQ(format_count(-1234567), "-1.23 M");
  EXPECT_EQ(format_count(std::numeric_limits<double>::infinity()), "inf");
}

TEST(Memory, GrowsWithWhatIsUsedAndFitsTheMachine) {
  const int64_t before = resident_memory_bytes();
  std::vector<char> block(64 << 20, 1);
  EXPECT_GT(resident_memory_bytes(), before + (48 << 20)) << static_cast<int>(block[12345]);
  EXPECT_GE(peak_memory_bytes(), before + (48 << 20));
  EXPECT_GT(machine_memory_bytes(), peak_memory_bytes());
  EXPECT_GE(num_physical_cores(), 1);
  EXPECT_LE(num_physical_cores(), static_cast<int>(sysconf(_SC_NPROCESSORS_CONF)));
}

}  // namespace
}  // namespace flanmoe
