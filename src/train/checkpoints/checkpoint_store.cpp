#include "train/checkpoints/checkpoint_store.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"

namespace flanmoe::train {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kRemoved = ".removed-";

std::string name_of(int64_t step) {
  return fmt::format("{}{:08}", kPrefix, step);
}

// -1 where the name is no checkpoint's.
int64_t parse_step(std::string_view name) {
  int64_t step = -1;
  if (!name.starts_with(kPrefix)) return -1;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), step);
  return step >= 0 && name == name_of(step) ? step : -1;
}

std::vector<std::string> list_names(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    names.push_back(it->path().filename().string());
  if (error && error != std::errc::no_such_file_or_directory)
    fail(ErrorCode::Io, "cannot list '{}': {}", folder, error.message());
  return names;
}

void remove_all(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) fail(ErrorCode::Io, "cannot remove '{}': {}", path, error.message());
}

}  // namespace

std::string CheckpointStore::path(int64_t step) const {
  return folder_ + "/" + name_of(step);
}

std::vector<int64_t> CheckpointStore::steps() const {
  std::vector<int64_t> steps;
  for (const std::string& name : list_names(folder_))
    if (const int64_t step = parse_step(name); step >= 0 && is_folder(folder_ + "/" + name))
      steps.push_back(step);
  std::sort(steps.begin(), steps.end());
  return steps;
}

void CheckpointStore::write(
    int64_t step, const std::function<FileHashes(const std::string& folder)>& fill) const {
  make_folders(folder_);
  AtomicFolder aside(path(step));
  write_checksums(aside.path(), fill(aside.path()));
  aside.commit();
}

void CheckpointStore::check(int64_t step) const {
  check_checksums(path(step));
}

void CheckpointStore::keep(const std::set<int64_t>& steps) const {
  for (const int64_t step : this->steps()) {
    if (steps.contains(step)) continue;
    const std::string removed = fmt::format("{}{}{}", path(step), kRemoved, getpid());
    remove_all(removed);
    if (std::rename(path(step).c_str(), removed.c_str()) != 0)
      fail(ErrorCode::Io, "cannot remove '{}': {}", path(step), std::strerror(errno));
    remove_all(removed);
  }
  std::error_code ignored;
  if (steps.empty()) fs::remove(folder_, ignored);
}

void CheckpointStore::clean_up() const {
  for (const std::string& name : list_names(folder_)) {
    const std::string stem = name.substr(0, name.find('.'));
    if (stem == name || parse_step(stem) < 0) continue;
    if (name.compare(stem.size(), kRemoved.size(), kRemoved) == 0)
      remove_all(folder_ + "/" + name);
    else
      recover_folder(folder_ + "/" + stem);
  }
}

std::set<int64_t> retain(const std::vector<int64_t>& steps, int64_t newest,
                         const Retention& retention) {
  std::vector<int64_t> valid;
  std::copy_if(steps.begin(), steps.end(), std::back_inserter(valid),
               [&](int64_t step) { return step <= newest; });
  std::set<int64_t> kept = retain_finished(valid, retention);
  const size_t num_last = std::min(valid.size(), static_cast<size_t>(retention.keep_last));
  kept.insert(valid.end() - static_cast<std::ptrdiff_t>(num_last), valid.end());
  return kept;
}

std::set<int64_t> retain_finished(const std::vector<int64_t>& steps, const Retention& retention) {
  std::set<int64_t> kept;
  for (const int64_t step : steps)
    if (retention.keep_every > 0 && step % retention.keep_every == 0) kept.insert(step);
  return kept;
}

}  // namespace flanmoe::train
