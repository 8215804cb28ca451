// Files mapped into memory, with a bound on how much of them stays resident.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>

namespace flanmoe::data {

class MappedFile;

// What the mappings of one owner may keep resident together. Pages are given back to the system
// (which may still have them in its own cache) once so much was read.
class ResidencyLimit {
 public:
  explicit ResidencyLimit(int64_t max_bytes = int64_t{128} << 20) : max_bytes_(max_bytes) {}

 private:
  friend class MappedFile;
  void count(int64_t num_bytes);
  std::atomic<int64_t> num_bytes_{0};
  const int64_t max_bytes_;
  std::mutex mutex_;
  std::set<const MappedFile*> files_;
};

// Read-only; safe to read from several threads.
class MappedFile {
 public:
  // Throws Io; NotFound where there is none.
  MappedFile(const std::string& path, std::shared_ptr<ResidencyLimit> limit);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  uint64_t size() const { return size_; }
  // `offset` + `num_bytes` within the file. The pointer stays good as long as the file is mapped.
  const char* read(uint64_t offset, uint64_t num_bytes) const;

 private:
  friend class ResidencyLimit;
  std::shared_ptr<ResidencyLimit> limit_;
  const char* data_ = nullptr;
  uint64_t size_ = 0;
};

}  // namespace flanmoe::data
