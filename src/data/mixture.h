// Where training examples come from: tasks with weights, drawn in an order that is a pure function
// of (seed, position).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/source.h"

namespace flanmoe::data {

struct MixtureConfig {
  int64_t max_examples = 30000;  // cap of examples-proportional mixing (`facts.md` item 14);
                                 // endless sources count as the cap
  double temperature = 1.0;
  template <class Visitor>
  void visit(Visitor& v) {
    v("max_examples", max_examples, "cap on the size of a task in examples-proportional mixing");
    v("temperature", temperature, "rates are raised to 1 / temperature");
  }
};

// The stream is cut into windows of 65536 positions. Every window holds the same number of
// positions of a source (its rate by largest remainder, at least one), laid out by one shuffle and
// turned by an offset of the window's own. So the number of times a source was drawn before a
// position is known without counting: that many examples of it are used up.
class Mixture {
 public:
  Mixture(std::vector<std::shared_ptr<const Source>> sources, const MixtureConfig& config,
          uint64_t seed);
  // The example at `position` of the endless stream, without walking there (logarithmic in the
  // window). Within a source, every example comes once before any comes twice (a permutation per
  // epoch). Safe to call from several threads where the sources are.
  Example get(uint64_t position) const;
  // `rate` as the configuration has it; the stream keeps it to 1/65536.
  struct Share {
    std::string task;
    std::string cluster;
    double rate;
    int64_t size;
  };
  std::vector<Share> shares() const;

 private:
  struct Draw {
    size_t source;
    uint64_t index;
  };
  Draw locate(uint64_t position) const;

  std::vector<std::shared_ptr<const Source>> sources_;
  std::vector<double> rates_;
  std::vector<uint32_t> layout_;              // source of every slot of a window
  std::vector<std::vector<uint32_t>> slots_;  // slots of every source, ascending
  uint64_t seed_;
};

}  // namespace flanmoe::data
