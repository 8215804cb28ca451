// A file that is read at offsets or written from its beginning, with our errors.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "base/error.h"

namespace flanmoe::checkpoint {

class File {
 public:
  File(const std::string& path, int flags)
      : path_(path), descriptor_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
    if (descriptor_ >= 0) return;
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR)
      fail(ErrorCode::NotFound, "[checkpoint] no file '{}'", path);
    fail(ErrorCode::Io, "[checkpoint] cannot open '{}': {}", path, std::strerror(error));
  }
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  uint64_t size() const {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0)
      fail(ErrorCode::Io, "[checkpoint] cannot read '{}': {}", path_, std::strerror(errno));
    if (!S_ISREG(status.st_mode))
      fail(ErrorCode::Io, "[checkpoint] '{}' is not a regular file", path_);
    return static_cast<uint64_t>(status.st_size);
  }

  void read(void* destination, size_t size, uint64_t offset) const {
    char* next = static_cast<char*>(destination);
    while (size > 0) {
      const ssize_t n =
          ::pread(descriptor_, next, std::min(size, kChunkBytes), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0)
        fail(ErrorCode::Io, "[checkpoint] cannot read '{}': {}", path_, std::strerror(errno));
      if (n == 0)
        fail(ErrorCode::CorruptFile, "{}: ends at byte {}, {} more were expected", path_, offset,
             size);
      next += n;
      size -= static_cast<size_t>(n);
      offset += static_cast<uint64_t>(n);
    }
  }

  void write(const void* source, size_t size) {
    const char* next = static_cast<const char*>(source);
    while (size > 0) {
      const ssize_t n = ::write(descriptor_, next, std::min(size, kChunkBytes));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0)
        fail(ErrorCode::Io, "[checkpoint] cannot write '{}': {}", path_, std::strerror(errno));
      next += n;
      size -= static_cast<size_t>(n);
    }
  }

  void sync_and_close() {
    const bool is_synced = ::fsync(descriptor_) == 0;
    const int error = errno;
    const bool is_closed = ::close(std::exchange(descriptor_, -1)) == 0;
    if (!is_synced || !is_closed)
      fail(ErrorCode::Io, "[checkpoint] cannot write '{}': {}", path_,
           std::strerror(is_synced ? errno : error));
  }

 private:
  // Linux moves at most about 2^31 bytes a call.
  static constexpr size_t kChunkBytes = size_t{1} << 30;

  std::string path_;
  int descriptor_;
};

}  // namespace flanmoe::checkpoint
