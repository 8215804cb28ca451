// What the tests of checkpoint share.
#pragma once

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "base/error.h"

namespace flanmoe::checkpoint {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    path_ = (std::filesystem::temp_directory_path() / "flanmoe-checkpoint-XXXXXX").string();
    if (!::mkdtemp(path_.data())) throw std::runtime_error("mkdtemp");
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }
  size_t num_files() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(path_), {}));
  }

 private:
  std::string path_;
};

// Without the sync that write_file_atomically() does, for the many files of a fuzz test. A new file
// each time: ext4 syncs one that is truncated and written again.
inline void write_plainly(const std::string& path, const std::string& content) {
  std::filesystem::remove(path);
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream << content;
  if (!stream.flush()) throw std::runtime_error("cannot write " + path);
}

template <class Function>
std::string error_of(ErrorCode code, Function function) {
  try {
    function();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

// Of any kind.
template <class Function>
void expect_error(Function function) {
  EXPECT_THROW(function(), Error);
}

// Same dtype, shape and bits.
inline bool is_same_tensor(const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes()) return false;
  const at::Tensor dense_a = a.contiguous(), dense_b = b.contiguous();
  return dense_a.nbytes() == 0 ||
         std::memcmp(dense_a.const_data_ptr(), dense_b.const_data_ptr(), dense_a.nbytes()) == 0;
}

// Reads every byte, so that a sanitizer sees one that is not there.
inline void touch(const at::Tensor& tensor) {
  unsigned sum = 0;
  const auto* bytes = static_cast<const unsigned char*>(tensor.const_data_ptr());
  for (size_t i = 0; i < tensor.nbytes(); ++i) sum += bytes[i];
  volatile unsigned sink = sum;
  (void)sink;
}

}  // namespace flanmoe::checkpoint
