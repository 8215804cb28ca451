#include "data/cache.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"

namespace flanmoe::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLimitVariable = "FLANMOE_DATA_CACHE_GB";
constexpr double kDefaultLimitGb = 50;
constexpr auto kRecent = std::chrono::hours(1);
constexpr auto kAbandoned = std::chrono::hours(72);
// Between two looks at the size of the cache: a collection of many tasks makes many entries.
constexpr auto kLookInterval = std::chrono::minutes(5);
constexpr const char* kLookFile = "last-look";
constexpr const char* kHashes = "hashes";

std::string environment(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? "" : value;
}

// Holds a file's lock as long as it lives; without effect where the file system has no locks.
class FileLock {
 public:
  explicit FileLock(const std::string& path)
      : descriptor_(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
    while (descriptor_ >= 0 && flock(descriptor_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  ~FileLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_;
};

int64_t size_of(const fs::path& folder) {
  int64_t size = 0;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored)) size += static_cast<int64_t>(it->file_size(ignored));
  }
  return size;
}

int64_t limit_bytes() {
  const std::string text = environment(kLimitVariable);
  double gigabytes = kDefaultLimitGb;
  if (!text.empty()) {
    char* end = nullptr;
    gigabytes = strtod(text.c_str(), &end);
    if (end != text.c_str() + text.size() || !(gigabytes >= 0))
      fail(ErrorCode::InvalidArgument, "[data] {} is '{}', expected a number of gigabytes",
           kLimitVariable, text);
  }
  return static_cast<int64_t>(std::min(gigabytes, 1e9) * 1e9);
}

bool can_write(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  return access(folder.c_str(), W_OK | X_OK) == 0;
}

void shrink_now_and_then() {
  const int64_t limit = limit_bytes();
  const std::string look = cache_folder() + "/" + kLookFile;
  std::error_code error;
  const auto last = fs::last_write_time(look, error);
  if (!error && fs::file_time_type::clock::now() - last < kLookInterval) return;
  write_file_atomically(look, "");
  shrink_cache(limit);
}

[[noreturn]] void fail_unusable(const std::string& folder) {
  fail(ErrorCode::Io, "[data] what was just written to {} cannot be read back", folder);
}

}  // namespace

std::string cache_folder() {
  if (const auto folder = environment("FLANMOE_CACHE"); !folder.empty()) return folder + "/data";
  if (const auto folder = environment("XDG_CACHE_HOME"); !folder.empty())
    return folder + "/flanmoe/data";
  if (const auto folder = environment("HOME"); !folder.empty())
    return folder + "/.cache/flanmoe/data";
  fail(ErrorCode::NotFound,
       "[data] there is no place for a cache: none of FLANMOE_CACHE, XDG_CACHE_HOME and HOME is "
       "set");
}

void use_temporary(const std::function<bool(const std::string& folder)>& use,
                   const std::function<void(const std::string& folder)>& make) {
  std::string folder = (fs::temp_directory_path() / "flanmoe-data-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr)
    fail(ErrorCode::Io, "cannot make the folder '{}': {}", folder, std::strerror(errno));
  struct Remover {
    const std::string& path;
    ~Remover() {
      std::error_code ignored;
      fs::remove_all(path, ignored);
    }
  } remover{folder};
  make(folder);
  if (!use(folder)) fail_unusable(folder);
}

void use_cached(const std::string& name, const std::function<bool(const std::string& folder)>& use,
                const std::function<void(const std::string& folder)>& make) {
  const std::string root = cache_folder();
  const std::string folder = root + "/" + name;
  const auto use_there = [&] {
    if (!is_folder(folder) || !use(folder)) return false;
    utimensat(AT_FDCWD, folder.c_str(), nullptr, 0);
    return true;
  };
  if (use_there()) return;
  if (!can_write(root)) {
    log::warn_once(
        "[data] the cache {} cannot be written; what belongs there is made anew each time", root);
    return use_temporary(use, make);
  }
  {
    const FileLock lock(folder + ".lock");
    if (use_there()) return;  // made while we waited
    if (is_folder(folder)) log::warn("[data] {} is damaged and made anew", folder);
    recover_folder(folder);
    AtomicFolder target(folder);
    make(target.path());
    target.commit();
    if (!use_there()) fail_unusable(folder);
  }
  shrink_now_and_then();
}

void write_sealed_json(const std::string& path, const Json& json) {
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  write_file_atomically(path, hash_text(text) + "\n" + text);
}

std::optional<Json> read_sealed_json(const std::string& path) {
  if (!is_file(path)) return std::nullopt;
  const std::string content = read_file(path);
  constexpr size_t kHashBytes = 32;
  if (content.size() <= kHashBytes) return std::nullopt;
  const std::string_view text = std::string_view(content).substr(kHashBytes + 1);
  if (content.substr(0, kHashBytes) != hash_text(text)) return std::nullopt;
  return parse_json(text, path);
}

std::string hash_file_once(const std::string& path) {
  constexpr int64_t kSmall = 1 << 20;
  struct stat before = {};
  if (stat(path.c_str(), &before) != 0 || before.st_size < kSmall) return hash_file(path);
  const std::string root = cache_folder() + "/" + kHashes;
  std::error_code ignored;
  const std::string memo = root + "/" + hash_text(fs::absolute(path, ignored).string());
  const std::string identity = fmt::format(
      "{} {} {} {}.{:09} {}.{:09}", static_cast<uint64_t>(before.st_dev),
      static_cast<uint64_t>(before.st_ino), static_cast<int64_t>(before.st_size),
      static_cast<int64_t>(before.st_mtim.tv_sec), static_cast<int64_t>(before.st_mtim.tv_nsec),
      static_cast<int64_t>(before.st_ctim.tv_sec), static_cast<int64_t>(before.st_ctim.tv_nsec));
  if (is_file(memo)) {
    const std::string known = read_file(memo);
    if (known.size() == identity.size() + 1 + 32 && known.starts_with(identity + " "))
      return known.substr(identity.size() + 1);
  }
  const std::string hash = hash_file(path);
  // A file changed within the resolution of its times would look the same.
  constexpr int64_t kSettled = 2;
  struct stat after = {};
  const bool is_settled = stat(path.c_str(), &after) == 0 &&
                          after.st_ctim.tv_sec == before.st_ctim.tv_sec &&
                          after.st_ctim.tv_nsec == before.st_ctim.tv_nsec &&
                          time(nullptr) - after.st_ctim.tv_sec > kSettled;
  if (is_settled && can_write(root)) write_file_atomically(memo, identity + " " + hash);
  return hash;
}

int64_t shrink_cache(int64_t max_bytes) {
  struct Entry {
    fs::file_time_type used;
    fs::path path;
    int64_t size;
  };
  std::vector<Entry> entries;
  int64_t total = 0;
  const auto now = fs::file_time_type::clock::now();
  std::error_code error;
  for (fs::directory_iterator it(cache_folder(), error), end; !error && it != end;
       it.increment(error)) {
    std::error_code ignored;
    const std::string name = it->path().filename().string();
    if (!it->is_directory(ignored) || name == kHashes) continue;
    // Somebody may be filling it.
    if (name.find(".tmp-") != name.npos && now - it->last_write_time(ignored) < kAbandoned)
      continue;
    entries.push_back({it->last_write_time(ignored), it->path(), size_of(it->path())});
    total += entries.back().size;
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.used < b.used; });
  int64_t num_removed = 0;
  for (const Entry& entry : entries) {
    if (total <= max_bytes || now - entry.used < kRecent) break;
    std::error_code ignored;
    fs::remove_all(entry.path, ignored);
    fs::remove(entry.path.string() + ".lock", ignored);
    total -= entry.size;
    num_removed += entry.size;
  }
  return num_removed;
}

}  // namespace flanmoe::data
