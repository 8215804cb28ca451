// The ids of words seen before: a table of fixed size, read and written by any number of threads
// without waiting. A new word takes the place of the one that was there.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace flanmoe::text {

class WordMemo {
 public:
  WordMemo();
  // Longer words, and words of more pieces, are not kept.
  static constexpr size_t kMaxBytes = 24, kMaxIds = 8;
  // Appends the ids; false where the word is not there.
  bool find(std::string_view word, std::vector<int32_t>& ids) const;
  void keep(std::string_view word, const int32_t* ids, size_t num_ids);

 private:
  static constexpr size_t kKeyWords = kMaxBytes / 8, kIdWords = kMaxIds / 2;
  static constexpr size_t kNumSlots = size_t{1} << 17;  // 8 MiB
  // A sequence lock whose content is atomic too. `state`: version << 16 | bytes << 8 | ids; the
  // version is odd while somebody writes, and 0 in a slot that was never used.
  struct alignas(64) Slot {
    std::atomic<uint64_t> state{0};
    std::atomic<uint64_t> key[kKeyWords];
    std::atomic<uint64_t> ids[kIdWords];
  };
  std::unique_ptr<Slot[]> slots_;
};

}  // namespace flanmoe::text
