#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "base/nearest.h"

namespace flanmoe {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void fail_io(std::string_view action, const std::string& path, int reason) {
  fail(ErrorCode::Io, "cannot {} '{}': {}", action, path, std::strerror(reason));
}

// Names the part of the path that is not there, and the nearest one beside it.
[[noreturn]] void fail_not_found(const std::string& path) {
  fs::path missing(path);
  std::error_code ignored;
  while (missing.has_parent_path() && missing.parent_path() != missing &&
         !fs::exists(missing.parent_path(), ignored))
    missing = missing.parent_path();
  std::vector<std::string> names;
  const fs::path folder = missing.has_parent_path() ? missing.parent_path() : fs::path(".");
  for (fs::directory_iterator it(folder, ignored), end;
       !ignored && it != end && names.size() < 10000; it.increment(ignored))
    names.push_back(it->path().filename().string());
  std::sort(names.begin(), names.end());
  const std::string nearest = nearest_name(missing.filename().string(), names);
  fail(ErrorCode::NotFound, "no such file: '{}'{}{}", path,
       missing == fs::path(path) ? "" : " (there is no '" + missing.string() + "')",
       nearest.empty() ? "" : " (did you mean '" + nearest + "'?)");
}

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }
  int release() { return std::exchange(value_, -1); }
  // What a quota or a network file system has to say comes at the close.
  bool close() { return ::close(release()) == 0; }

 private:
  int value_;
};

int open_for_reading(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0 && (errno == ENOENT || errno == ENOTDIR)) fail_not_found(path);
  if (descriptor < 0) fail_io("read", path, errno);
  struct stat status = {};
  if (fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode)) {
    ::close(descriptor);
    fail_io("read", path, EISDIR);
  }
  return descriptor;
}

// 0 at the end; throws Io.
size_t read_some(int descriptor, const std::string& path, char* data, size_t size) {
  while (true) {
    const ssize_t count = ::read(descriptor, data, size);
    if (count >= 0) return static_cast<size_t>(count);
    if (errno != EINTR) fail_io("read", path, errno);
  }
}

// False with errno set.
bool sync_descriptor(int descriptor) {
  return fsync(descriptor) == 0 || errno == EINVAL || errno == EROFS || errno == ENOTSUP ||
         errno == EBADF;
}

std::string parent_of(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

void sync_tree(const std::string& folder) {
  std::error_code error;
  fs::recursive_directory_iterator it(folder, error), end;
  for (; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    const fs::file_status status = it->symlink_status(ignored);
    if (fs::is_regular_file(status) || fs::is_directory(status)) sync_file(it->path().string());
  }
  if (error) fail_io("sync", folder, error.value());
  sync_file(folder);
}

// Where a link points to, so that replacing the target keeps the link and the disk it chose.
std::string follow_link(const std::string& path) {
  std::error_code error;
  if (!fs::is_symlink(path, error)) return path;
  const fs::path real = fs::weakly_canonical(path, error);
  return error ? path : real.string();
}

std::string without_trailing_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::string aside_name(const std::string& target, std::string_view kind) {
  return target + "." + std::string(kind) + "-" + std::to_string(getpid());
}

void remove_quietly(const std::string& path) {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

void write_to_device(const std::string& path, std::string_view content) {
  Descriptor descriptor(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (descriptor.get() < 0 || !write_all(descriptor.get(), content) || !descriptor.close())
    fail_io("write", path, errno);
}

// `target`.tmp-7 -> 7 for the kind "tmp"; 0 where the name is none of ours.
pid_t leftover_pid(const std::string& name, const std::string& target_name, std::string_view kind) {
  const std::string start = target_name + "." + std::string(kind) + "-";
  if (!name.starts_with(start)) return 0;
  const std::string digits = name.substr(start.size());
  if (digits.empty() || digits.size() > 9 || digits.find_first_not_of("0123456789") != digits.npos)
    return 0;
  return static_cast<pid_t>(std::stol(digits));
}

bool is_other_live_process(pid_t pid) {
  return pid != getpid() && (kill(pid, 0) == 0 || errno == EPERM);
}

// Swaps two paths in one step; false where the system cannot.
bool exchange_paths(const std::string& a, const std::string& b) {
#if defined(SYS_renameat2) && defined(RENAME_EXCHANGE)
  return syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0;
#else
  (void)a, (void)b;
  return false;
#endif
}

// Of the process that holds a folder's lock.
std::string describe_owner(int descriptor) {
  char digits[16] = {};
  const ssize_t size = pread(descriptor, digits, sizeof(digits) - 1, 0);
  const std::string pid(digits, size > 0 ? static_cast<size_t>(size) : 0);
  return pid.empty() ? "another process" : "process " + pid;
}

bool is_same_file(int descriptor, const std::string& path) {
  struct stat held = {}, found = {};
  return fstat(descriptor, &held) == 0 && stat(path.c_str(), &found) == 0 &&
         held.st_dev == found.st_dev && held.st_ino == found.st_ino;
}

}  // namespace

bool write_all(int descriptor, std::string_view content) {
  while (!content.empty()) {
    const ssize_t count =
        ::write(descriptor, content.data(), std::min<size_t>(content.size(), size_t{1} << 30));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    content.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

void sync_file(const std::string& path) {
  Descriptor descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (descriptor.get() < 0) return;  // written and closed, not readable: nothing more to ask for
  if (!sync_descriptor(descriptor.get())) fail_io("sync", path, errno);
}

FolderLock::FolderLock(const std::string& folder)
    : path_(without_trailing_slashes(folder) + "/.lock") {
  make_folders(folder);
  while (descriptor_ < 0) {
    Descriptor descriptor(open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
    if (descriptor.get() < 0) fail_io("write", path_, errno);
    if (flock(descriptor.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno != EWOULDBLOCK) return;
      fail(ErrorCode::InvalidArgument,
           "cannot write the folder '{}': {} is writing there; wait for it, or give another folder",
           folder, describe_owner(descriptor.get()));
    }
    // who had the lock before may have removed the file since it was opened
    if (!is_same_file(descriptor.get(), path_)) continue;
    // for others' messages alone
    if (ftruncate(descriptor.get(), 0) == 0)
      (void)write_all(descriptor.get(), std::to_string(getpid()));
    descriptor_ = descriptor.release();
  }
}

FolderLock::~FolderLock() {
  if (descriptor_ < 0) return;
  unlink(path_.c_str());
  ::close(descriptor_);
}

std::string read_file(const std::string& path) {
  Descriptor descriptor(open_for_reading(path));
  struct stat status = {};
  const size_t expected =
      fstat(descriptor.get(), &status) == 0 && status.st_size > 0 ? status.st_size : 0;
  std::string content(expected + 1, '\0');  // one more byte: the end is seen without growing
  size_t size = 0;
  while (const size_t count =
             read_some(descriptor.get(), path, content.data() + size, content.size() - size)) {
    size += count;
    if (size == content.size()) content.resize(std::max<size_t>(2 * size, 1 << 16));
  }
  content.resize(size);
  return content;
}

void write_file_atomically(const std::string& path, std::string_view content) {
  struct stat status = {};
  if (stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) fail_io("write", path, EISDIR);
    if (!S_ISREG(status.st_mode))
      return write_to_device(path, content);  // /dev/stdout must not be replaced
  }
  const std::string target = follow_link(path);
  const std::string aside = aside_name(target, "tmp");
  Descriptor descriptor(open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (descriptor.get() < 0) fail_io("write", path, errno);
  if (!write_all(descriptor.get(), content) || !sync_descriptor(descriptor.get()) ||
      !descriptor.close() || rename(aside.c_str(), target.c_str()) != 0) {
    const int reason = errno;
    unlink(aside.c_str());
    fail_io("write", path, reason);
  }
  sync_file(parent_of(target));
}

AtomicFolder::AtomicFolder(std::string target)
    : target_(follow_link(without_trailing_slashes(std::move(target)))) {
  std::error_code ignored;
  if (fs::exists(target_, ignored) && !is_folder(target_))
    fail(ErrorCode::Io, "cannot write the folder '{}': a file of that name is in the way", target_);
  aside_ = aside_name(target_, "tmp");
  remove_quietly(aside_);
  make_folders(aside_);
}

AtomicFolder::~AtomicFolder() {
  if (!is_committed_) remove_quietly(aside_);
}

void AtomicFolder::commit() {
  FLANMOE_ASSERT(!is_committed_);
  sync_tree(aside_);
  if (is_folder(target_)) {
    if (exchange_paths(aside_, target_)) {
      is_committed_ = true;
      sync_file(parent_of(target_));
      remove_quietly(aside_);  // now the old one
      return;
    }
    // Between the two renames there is no target: recover_folder() finds the old one if we die
    // there.
    const std::string old = aside_name(target_, "old");
    remove_quietly(old);
    if (rename(target_.c_str(), old.c_str()) != 0) fail_io("replace", target_, errno);
    if (rename(aside_.c_str(), target_.c_str()) != 0) {
      const int reason = errno;
      if (rename(old.c_str(), target_.c_str()) != 0)
        fail(ErrorCode::Io, "cannot replace '{}': {}; what was there is in '{}'", target_,
             std::strerror(reason), old);
      fail_io("replace", target_, reason);
    }
    is_committed_ = true;
    sync_file(parent_of(target_));
    remove_quietly(old);
    return;
  }
  if (rename(aside_.c_str(), target_.c_str()) != 0) fail_io("write", target_, errno);
  is_committed_ = true;
  sync_file(parent_of(target_));
}

void recover_folder(const std::string& target) {
  const std::string real = follow_link(without_trailing_slashes(target));
  const std::string name = fs::path(real).filename().string();
  std::vector<fs::path> olds, asides;
  std::error_code error;
  for (fs::directory_iterator it(parent_of(real), error), end; !error && it != end;
       it.increment(error)) {
    const std::string found = it->path().filename().string();
    if (leftover_pid(found, name, "old") > 0) olds.push_back(it->path());
    const pid_t writer = leftover_pid(found, name, "tmp");
    if (writer > 0 && !is_other_live_process(writer)) asides.push_back(it->path());
  }

  std::error_code ignored;
  if (!fs::exists(real, ignored) && !olds.empty()) {
    std::sort(olds.begin(), olds.end(), [](const fs::path& a, const fs::path& b) {
      std::error_code unread;
      return std::pair(fs::last_write_time(a, unread), a) <
             std::pair(fs::last_write_time(b, unread), b);
    });
    if (rename(olds.back().c_str(), real.c_str()) != 0) fail_io("bring back", real, errno);
    olds.pop_back();
    sync_file(parent_of(real));
  }
  for (const auto& path : olds) remove_quietly(path.string());
  for (const auto& path : asides) remove_quietly(path.string());
}

LineAppender::LineAppender(const std::string& path, int64_t keep_bytes) : path_(path) {
  Descriptor descriptor(open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (descriptor.get() < 0) fail_io("write", path, errno);
  struct stat status = {};
  if (fstat(descriptor.get(), &status) != 0) fail_io("write", path, errno);
  if (S_ISREG(status.st_mode)) {
    int64_t size = status.st_size;
    if (keep_bytes > size)
      fail(ErrorCode::CorruptFile, "'{}' has {} bytes where {} were written before", path, size,
           keep_bytes);
    if (keep_bytes >= 0) size = keep_bytes;
    // Back to the end of the last whole line.
    std::vector<char> block(1 << 16);
    for (bool is_whole = size == 0; !is_whole;) {
      const int64_t begin = std::max<int64_t>(0, size - static_cast<int64_t>(block.size()));
      const ssize_t count =
          pread(descriptor.get(), block.data(), static_cast<size_t>(size - begin), begin);
      if (count != size - begin) fail_io("read", path, count < 0 ? errno : EIO);
      const std::string_view text(block.data(), static_cast<size_t>(count));
      const size_t newline = text.rfind('\n');
      size = newline == text.npos ? begin : begin + static_cast<int64_t>(newline) + 1;
      is_whole = newline != text.npos || size == 0;
    }
    if (size != status.st_size && ftruncate(descriptor.get(), size) != 0)
      fail_io("truncate", path, errno);
    size_bytes_ = size;
  }
  descriptor_ = descriptor.release();
}

LineAppender::~LineAppender() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void LineAppender::append(std::string_view line) {
  FLANMOE_ASSERT(line.find('\n') == line.npos);
  std::string whole(line);
  whole += '\n';
  if (!write_all(descriptor_, whole)) {
    const int reason = errno;
    // Take the half line back; where even that fails, opening the file the next time does it.
    if (ftruncate(descriptor_, size_bytes_) != 0) errno = reason;
    fail_io("write", path_, reason);
  }
  size_bytes_ += static_cast<int64_t>(whole.size());
}

// Bytes of the file, inflated where they are gzip: one or more members, zero padding allowed behind
// them.
struct LineReader::Stream {
  static constexpr size_t kBlock = 1 << 17;

  explicit Stream(int value, bool is_owned) : descriptor(value), owns_descriptor(is_owned) {}
  ~Stream() {
    if (is_gzip) inflateEnd(&z);
    if (owns_descriptor) ::close(descriptor);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  int descriptor;
  bool owns_descriptor;
  bool is_started = false, is_gzip = false, is_input_end = false, is_between_members = false,
       is_padding = false;
  z_stream z = {};
  std::vector<char> input = std::vector<char>(kBlock);
  std::vector<char> inflated;
  std::string_view raw;    // read and not yet inflated
  std::string_view ready;  // text not yet handed out

  void read_input(const std::string& path) {
    const size_t count = read_some(descriptor, path, input.data(), input.size());
    raw = {input.data(), count};
    is_input_end = count == 0;
  }

  void start(const std::string& path) {
    is_started = true;
    // A pipe may give one byte at first.
    size_t size = 0;
    while (size < 3 && !is_input_end) {
      const size_t count = read_some(descriptor, path, input.data() + size, input.size() - size);
      is_input_end = count == 0;
      size += count;
    }
    raw = {input.data(), size};
    if (raw.starts_with("\x1f\x8b")) {
      if (inflateInit2(&z, 15 + 16) != Z_OK) throw std::bad_alloc();
      is_gzip = true;
      inflated.resize(2 * kBlock);
    }
  }

  // Fills `ready`; false at the end. `where` names the line that is being read.
  template <class Where>
  bool fill(const std::string& path, const Where& where) {
    if (!is_started) start(path);
    while (ready.empty()) {
      if (raw.empty() && !is_input_end) read_input(path);
      if (!is_gzip) {
        ready = std::exchange(raw, {});
        if (ready.empty()) return false;
      } else if (!inflate_some(where)) {
        return false;
      }
    }
    return true;
  }

  template <class Where>
  bool inflate_some(const Where& where) {
    if (is_between_members) {
      while (!raw.empty() && raw[0] == '\0') {
        raw.remove_prefix(1);
        is_padding = true;
      }
      if (raw.empty()) return !is_input_end;
      if (is_padding || raw[0] != '\x1f')
        fail(ErrorCode::CorruptFile, "{}: bytes that are not gzip follow the compressed text",
             where());
      inflateReset(&z);
      is_between_members = false;
    }
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(raw.data()));
    z.avail_in = static_cast<uInt>(raw.size());
    z.next_out = reinterpret_cast<Bytef*>(inflated.data());
    z.avail_out = static_cast<uInt>(inflated.size());
    const int result = inflate(&z, Z_NO_FLUSH);
    raw.remove_prefix(raw.size() - z.avail_in);
    ready = {inflated.data(), inflated.size() - z.avail_out};
    if (result == Z_STREAM_END)
      is_between_members = true;
    else if (result == Z_MEM_ERROR)
      throw std::bad_alloc();
    else if (result != Z_OK && result != Z_BUF_ERROR)
      fail(ErrorCode::CorruptFile, "{}: damaged gzip stream: {}", where(),
           z.msg ? z.msg : "unknown reason");
    else if (ready.empty() && raw.empty() && is_input_end)
      fail(ErrorCode::CorruptFile, "{}: the gzip stream ends too early (a truncated file)",
           where());
    return true;
  }
};

LineReader::LineReader(const std::string& path)
    : stream_(path == "-" ? std::make_unique<Stream>(STDIN_FILENO, false)
                          : std::make_unique<Stream>(open_for_reading(path), true)),
      path_(path == "-" ? "stdin" : path) {}

LineReader::~LineReader() = default;

bool LineReader::next(std::string& line) {
  line.clear();
  const auto where_next = [this] { return path_ + ":" + std::to_string(line_number_ + 1); };
  bool is_found = false;
  while (stream_->fill(path_, where_next)) {
    is_found = true;
    const size_t newline = stream_->ready.find('\n');
    line.append(stream_->ready.substr(0, newline));
    if (newline == std::string_view::npos) {
      stream_->ready = {};
      continue;
    }
    stream_->ready.remove_prefix(newline + 1);
    break;
  }
  if (!is_found) return false;
  if (++line_number_ == 1 && line.starts_with("\xEF\xBB\xBF"))
    line.erase(0, 3);  // a byte order mark
  if (line.ends_with('\r')) line.pop_back();
  return true;
}

std::string LineReader::where() const {
  return path_ + ":" + std::to_string(line_number_);
}

std::vector<std::string> list_files(const std::string& folder) {
  std::error_code error;
  if (!is_folder(folder)) fail(ErrorCode::NotFound, "no such folder: '{}'", folder);
  std::vector<std::string> files;
  fs::recursive_directory_iterator it(folder, error), end;
  for (; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored)) files.push_back(it->path().string());
  }
  if (error) fail_io("list", folder, error.value());
  std::sort(files.begin(), files.end());
  return files;
}

bool is_file(const std::string& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

void make_folders(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) fail_io("make the folder", path, error.value());
  if (!is_folder(path)) fail_io("make the folder", path, ENOTDIR);
}

}  // namespace flanmoe
