// Log lines go to one sink that the app installs (none: they are dropped); results never come here.
// A line starts with a lower-case tag: log::info("[data] {} examples", n).
#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>

namespace flanmoe::log {

enum class Level { Debug, Info, Warning, Error };
using Sink = std::function<void(Level, const std::string&)>;

void set_sink(Sink sink);
// To stderr through spdlog; lines below `level` are dropped.
void install_stderr_sink(Level level);
void write(Level level, const std::string& line);
// The same text is written once per process.
void write_once(Level level, const std::string& line);

template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::Debug, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::Info, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::Warning, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warn_once(fmt::format_string<Args...> format, Args&&... args) {
  write_once(Level::Warning, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace flanmoe::log
