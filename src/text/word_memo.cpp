#include "text/word_memo.h"

#include <cstring>

#include "base/random.h"

namespace flanmoe::text {
namespace {

constexpr uint64_t kVersion = 1u << 16;

constexpr uint64_t sizes_of(uint64_t state) {
  return state % kVersion;
}

}  // namespace

WordMemo::WordMemo() : slots_(std::make_unique<Slot[]>(kNumSlots)) {}

namespace {

struct Key {
  uint64_t words[WordMemo::kMaxBytes / 8] = {};
  uint64_t hash = 0;
  explicit Key(std::string_view word) {
    std::memcpy(words, word.data(), word.size());
    hash = word.size();
    for (const uint64_t part : words) hash = mix64(hash ^ part);
  }
};

}  // namespace

bool WordMemo::find(std::string_view word, std::vector<int32_t>& ids) const {
  if (word.empty() || word.size() > kMaxBytes) return false;
  const Key key(word);
  const Slot& slot = slots_[key.hash % kNumSlots];
  const uint64_t state = slot.state.load(std::memory_order_acquire);
  if (state == 0 || (state / kVersion) % 2 != 0 || sizes_of(state) >> 8 != word.size())
    return false;
  for (size_t i = 0; i < kKeyWords; ++i)
    if (slot.key[i].load(std::memory_order_relaxed) != key.words[i]) return false;
  const size_t num_ids = state & 0xFF;
  uint64_t pairs[kIdWords];
  for (size_t i = 0; i < kIdWords; ++i) pairs[i] = slot.ids[i].load(std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_acquire);
  if (slot.state.load(std::memory_order_relaxed) != state) return false;
  int32_t values[kMaxIds];
  std::memcpy(values, pairs, sizeof(pairs));
  ids.insert(ids.end(), values, values + num_ids);
  return true;
}

void WordMemo::keep(std::string_view word, const int32_t* ids, size_t num_ids) {
  if (word.empty() || word.size() > kMaxBytes || num_ids > kMaxIds) return;
  const Key key(word);
  uint64_t pairs[kIdWords] = {};
  if (num_ids > 0) std::memcpy(pairs, ids, num_ids * sizeof(int32_t));
  Slot& slot = slots_[key.hash % kNumSlots];
  uint64_t state = slot.state.load(std::memory_order_relaxed);
  const uint64_t version = state / kVersion;
  if (version % 2 != 0 ||
      !slot.state.compare_exchange_strong(state, (version + 1) * kVersion,
                                          std::memory_order_acquire, std::memory_order_relaxed))
    return;  // somebody else is writing
  std::atomic_thread_fence(std::memory_order_release);
  for (size_t i = 0; i < kKeyWords; ++i) slot.key[i].store(key.words[i], std::memory_order_relaxed);
  for (size_t i = 0; i < kIdWords; ++i) slot.ids[i].store(pairs[i], std::memory_order_relaxed);
  slot.state.store((version + 2) * kVersion | word.size() << 8 | num_ids,
                   std::memory_order_release);
}

}  // namespace flanmoe::text
