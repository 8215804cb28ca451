// Where the time of a training step goes, operator by operator.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace flanmoe::ops {

struct OperatorCost {
  std::string phase;
  std::string name;  // "aten::mm", "flanmoe::attention"; empty: time in no operator
  int64_t num_calls = 0;
  double seconds = 0;  // its own, without the operators that it called
  double flops = 0;    // of aten's mm, addmm, bmm and baddbmm, from the shapes of their inputs, and
                       // of scopes that say theirs
};

// Sees the operators that the thread which made it runs, on a CPU, as long as it lives. One at a
// time; torch's profiler takes its place and must not run.
class OperatorProfile {
 public:
  OperatorProfile();
  ~OperatorProfile();
  OperatorProfile(const OperatorProfile&) = delete;
  OperatorProfile& operator=(const OperatorProfile&) = delete;

  // What runs from here to end_phase() counts for `phase` ("forward").
  void begin_phase(const std::string& phase);
  void end_phase();
  // By phase in their order, the dearest operator first; the seconds of a phase add up to its time.
  std::vector<OperatorCost> costs() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
  uint64_t handle_ = 0;
};

}  // namespace flanmoe::ops
