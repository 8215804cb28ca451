#include "base/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <memory>
#include <mutex>
#include <set>

#include "base/progress.h"

namespace flanmoe::log {

namespace {

struct State {
  std::recursive_mutex mutex;  // a sink may log
  Sink sink;
  std::set<std::string> written_once;
};

State& state() {
  static State* const instance =
      new State;  // never destroyed: others may log while the process ends
  return *instance;
}

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::Debug:
      return spdlog::level::debug;
    case Level::Info:
      return spdlog::level::info;
    case Level::Warning:
      return spdlog::level::warn;
    case Level::Error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

void set_sink(Sink sink) {
  std::lock_guard lock(state().mutex);
  state().sink = std::move(sink);
}

void install_stderr_sink(Level level) {
  auto logger = std::make_shared<spdlog::logger>(
      "flanmoe", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_pattern("%H:%M:%S %^%l%$ %v");
  logger->set_level(to_spdlog(level));
  logger->flush_on(spdlog::level::debug);
  set_sink([logger](Level line_level, const std::string& line) {
    if (!logger->should_log(to_spdlog(line_level))) return;
    clear_progress_line();
    logger->log(to_spdlog(line_level), line);
  });
}

void write(Level level, const std::string& line) {
  std::lock_guard lock(state().mutex);
  const Sink sink = state().sink;  // a copy: the sink may install another one
  if (sink) sink(level, line);
}

void write_once(Level level, const std::string& line) {
  {
    std::lock_guard lock(state().mutex);
    if (!state().written_once.insert(line).second) return;
  }
  write(level, line);
}

}  // namespace flanmoe::log
