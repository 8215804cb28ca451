// Random numbers as pure functions of a key. Noise is keyed by (seed, purpose, layer and site,
// step, example, token, element), never by row, rank or order of calls, so that packing, batching
// and distribution do not change it (DESIGN.md, interfaces).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace flanmoe {

// SplitMix64's finaliser: a bijection of 64 bits with full avalanche.
constexpr uint64_t mix64(uint64_t x) {
  x += 0x9E3779B97F4A7C15ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

// What the noise is for. Values are part of the format: changing one changes every run.
enum class RandomPurpose : uint64_t {
  Initialisation = 1,
  Dropout = 2,
  RouterJitter = 3,
  SecondExpert = 4,
  RandomRouter = 5,
  DataOrder = 6,
  SpanCorruption = 7,
  Template = 8,
  Generator = 9,
  Sampling = 10,
  Bootstrap = 11,
  FewShot = 12,
  StochasticRounding = 13,
  ExpertNoise = 20,
  ExpertReinitialisation = 21,
};

class RandomKey {
 public:
  constexpr RandomKey(uint64_t seed, RandomPurpose purpose)
      : state_(mix64(mix64(seed) ^ (static_cast<uint64_t>(purpose) * 0xD6E8FEB86659FD93ull))) {}
  // The key of a part: fold(layer).fold(site).fold(step).fold(example).fold(token).
  constexpr RandomKey fold(uint64_t part) const {
    return RandomKey(mix64(state_ ^ mix64(part + 0x632BE59BD9B4E019ull)));
  }
  RandomKey fold(std::string_view part) const;

  // 64 random bits of element `index` of this key.
  constexpr uint64_t bits(uint64_t index) const {
    return mix64(state_ + index * 0x9E3779B97F4A7C15ull);
  }
  // In [0, 1), 53 bits.
  constexpr double uniform(uint64_t index) const {
    return static_cast<double>(bits(index) >> 11) * 0x1.0p-53;
  }
  // Standard normal (Box-Muller on elements 2 index and 2 index + 1).
  double normal(uint64_t index) const;
  // In [0, bound), without bias that could matter (128-bit multiply).
  uint64_t below(uint64_t bound, uint64_t index) const;
  constexpr uint64_t state() const { return state_; }

 private:
  explicit constexpr RandomKey(uint64_t state) : state_(state) {}
  uint64_t state_;
};

// A stream over one key, for generators that draw in sequence.
class RandomStream {
 public:
  explicit RandomStream(RandomKey key) : key_(key) {}
  uint64_t bits() { return key_.bits(next_++); }
  double uniform() { return key_.uniform(next_++); }
  double normal() { return key_.normal(next_++); }
  uint64_t below(uint64_t bound) { return key_.below(bound, next_++); }
  // Inclusive on both ends.
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(below(static_cast<uint64_t>(high - low + 1)));
  }
  template <class T>
  const T& pick(const std::vector<T>& values) {
    return values[below(values.size())];
  }
  template <class T>
  void shuffle(std::vector<T>& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

 private:
  RandomKey key_;
  uint64_t next_ = 0;
};

// A pseudo-random permutation of [0, size): position -> index in constant time and memory
// (Feistel network with cycle walking).
class Permutation {
 public:
  Permutation(uint64_t size, RandomKey key);
  uint64_t operator()(uint64_t position) const;
  uint64_t size() const { return size_; }

 private:
  uint64_t size_;
  int half_bits_;
  RandomKey key_;
};

}  // namespace flanmoe
