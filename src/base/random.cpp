#include "base/random.h"

#include <cmath>
#include <numbers>

#include "base/error.h"

namespace flanmoe {

namespace {

__extension__ typedef unsigned __int128 Uint128;

constexpr int kNumRounds = 8;
// A network of a few bits has too few round functions to reach every order, so tiny sizes walk in a
// domain of 64.
constexpr int kMinHalfBits = 3;

}  // namespace

RandomKey RandomKey::fold(std::string_view part) const {
  // Eight bytes at a time, little end first on every machine; the length tells "a" from "a\0".
  uint64_t hash = mix64(part.size() ^ 0x8A5CD789635D2DFFull);
  for (size_t begin = 0; begin < part.size(); begin += 8) {
    uint64_t word = 0;
    for (size_t i = begin; i < part.size() && i < begin + 8; ++i)
      word |= static_cast<uint64_t>(static_cast<unsigned char>(part[i])) << (8 * (i - begin));
    hash = mix64(hash ^ word);
  }
  return fold(hash);
}

double RandomKey::normal(uint64_t index) const {
  const double radius = 1.0 - uniform(2 * index);  // in (0, 1]
  return std::sqrt(-2.0 * std::log(radius)) *
         std::cos(2.0 * std::numbers::pi * uniform(2 * index + 1));
}

uint64_t RandomKey::below(uint64_t bound, uint64_t index) const {
  FLANMOE_ASSERT(bound > 0);
  return static_cast<uint64_t>((static_cast<Uint128>(bits(index)) * bound) >> 64);
}

Permutation::Permutation(uint64_t size, RandomKey key)
    : size_(size), half_bits_(kMinHalfBits), key_(key) {
  FLANMOE_ASSERT(size <= uint64_t{1} << 62);
  while (uint64_t{1} << (2 * half_bits_) < size) ++half_bits_;
}

uint64_t Permutation::operator()(uint64_t position) const {
  FLANMOE_ASSERT(position < size_);
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  uint64_t value = position;
  do {
    uint64_t left = value >> half_bits_, right = value & mask;
    for (uint64_t round = 0; round < kNumRounds; ++round) {
      const uint64_t next = left ^ (key_.bits(round << 32 | right) & mask);
      left = right;
      right = next;
    }
    value = left << half_bits_ | right;
  } while (value >= size_);
  return value;
}

}  // namespace flanmoe
