// The order of an endless stream over weighted sources: a pure function of (rates, sizes, seed),
// any position found in constant time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace flanmoe::data {

// What is drawn from one source.
struct OrderedSource {
  std::string name;      // keys its permutations
  double rate = 0;       // of the stream, in any unit
  int64_t size = 0;      // < 0: endless, read in order
  int64_t num_used = 0;  // so many distinct examples are drawn; 0: all. Nested: more of them
                         // contain fewer
};

// The stream is cut into windows of 2^18 positions. Every window holds the same number of positions
// of a source (its rate by largest remainder, at least one) and is turned by an offset of its own,
// so that the number of times a source was drawn before a position is known without counting: that
// many of its examples are used up. Within a window the i-th of q slots of a source lies at random
// in the i-th of q equal strata: any stretch of the stream keeps the rates to about one example a
// source.
class StreamOrder {
 public:
  // Throws InvalidArgument where there is no source or one is empty, Unsupported where there are
  // more than half a window.
  StreamOrder(std::vector<OrderedSource> sources, uint64_t seed);

  struct Draw {
    size_t source;
    uint64_t index;  // of the example in its source
    uint64_t epoch;  // how often the source was read through before; 0 where it is endless
  };
  // Within a source, every example comes once before any comes twice (a permutation an epoch).
  Draw locate(uint64_t position) const;

  size_t num_sources() const { return sources_.size(); }
  // Shares of the stream that the window has, which sum to one.
  double realised_rate(size_t source) const;

  static constexpr uint64_t kWindow = 1u << 18;

 private:
  std::vector<OrderedSource> sources_;
  std::vector<uint32_t> layout_;              // source of every slot of a window
  std::vector<std::vector<uint32_t>> slots_;  // slots of every source, ascending
  uint64_t seed_;
};

}  // namespace flanmoe::data
