#include "base/memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>

namespace flanmoe {
namespace {

constexpr int64_t kBytes = 64 << 20;

void touch_and_release() {
  void* const memory =
      mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  std::memset(memory, 1, kBytes);
  munmap(memory, kBytes);
}

TEST(PeakMemory, CountsWhatWasReleasedUntilItIsReset) {
  reset_peak_memory();
  const int64_t before = resident_memory_bytes();
  touch_and_release();
  EXPECT_GT(peak_memory_bytes(), before + kBytes * 9 / 10);
  EXPECT_LT(resident_memory_bytes(), before + kBytes / 2);
  reset_peak_memory();
  EXPECT_LT(peak_memory_bytes(), before + kBytes / 2);
}

}  // namespace
}  // namespace flanmoe
