#include "data/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace flanmoe::data {
namespace {

// The kernel maps the pages around the one asked for, as many as this together.
constexpr int64_t kFaultAroundBytes = 64 << 10;

}  // namespace

void ResidencyLimit::count(int64_t num_bytes) {
  if (num_bytes_.fetch_add(num_bytes, std::memory_order_relaxed) + num_bytes < max_bytes_) return;
  const std::lock_guard lock(mutex_);
  if (num_bytes_.load(std::memory_order_relaxed) < max_bytes_) return;  // done by another thread
  num_bytes_.store(0, std::memory_order_relaxed);
  for (const MappedFile* file : files_)
    madvise(const_cast<char*>(file->data_), file->size_, MADV_DONTNEED);
}

MappedFile::MappedFile(const std::string& path, std::shared_ptr<ResidencyLimit> limit)
    : limit_(std::move(limit)) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const auto fail_read = [&](int reason) {
    if (descriptor >= 0) ::close(descriptor);
    fail(reason == ENOENT ? ErrorCode::NotFound : ErrorCode::Io, "cannot read '{}': {}", path,
         std::strerror(reason));
  };
  struct stat status = {};
  if (descriptor < 0 || fstat(descriptor, &status) != 0) fail_read(errno);
  size_ = static_cast<uint64_t>(status.st_size);
  if (size_ > 0) {
    void* data = mmap(nullptr, size_, PROT_READ, MAP_SHARED, descriptor, 0);
    if (data == MAP_FAILED) fail_read(errno);
    data_ = static_cast<const char*>(data);
  }
  ::close(descriptor);
  if (size_ == 0) return;
  const std::lock_guard lock(limit_->mutex_);
  limit_->files_.insert(this);
}

MappedFile::~MappedFile() {
  if (size_ == 0) return;
  {
    const std::lock_guard lock(limit_->mutex_);
    limit_->files_.erase(this);
  }
  munmap(const_cast<char*>(data_), size_);
}

const char* MappedFile::read(uint64_t offset, uint64_t num_bytes) const {
  FLANMOE_ASSERT(offset <= size_ && num_bytes <= size_ - offset);
  limit_->count(static_cast<int64_t>(num_bytes) + kFaultAroundBytes);
  return data_ + offset;
}

}  // namespace flanmoe::data
