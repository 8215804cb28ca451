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
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace flanmoe::checkpoint {

// Without the sync that write_file_atomically() does, for the many files of a fuzz test. A new file
// each time: ext4 syncs one that is truncated and written again.
inline void write_plainly(const std::string& path, const std::string& content) {
  std::filesystem::remove(path);
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream << content;
  if (!stream.flush()) throw std::runtime_error("cannot write " + path);
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
