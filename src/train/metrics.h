// What a line of metrics.jsonl is averaged from.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/json_fwd.h"
#include "model/model.h"

namespace flanmoe::train {

// Position in a stage; everything that is counted from its first step on.
struct Counts {
  int64_t step = 0;
  int64_t num_examples = 0;
  int64_t num_input_tokens = 0;
  int64_t num_target_tokens = 0;
  int64_t num_cut_inputs = 0;  // examples whose input was longer than batch.input_length
  int64_t num_cut_targets = 0;
  int64_t num_skipped_steps = 0;  // whose loss or gradient was not finite
  double train_flops = 0;

  void add(const Counts& other);
};
Json to_json(const Counts& counts);
Counts parse_counts(const Json& json);

// Values of one step by name: loss, cross_entropy, then every auxiliary loss as a mean over layers,
// then what the caller adds.
using StepValues = std::vector<std::pair<std::string, double>>;
StepValues read_losses(const model::LossOutput& output);
// Adds to the value of that name; one that is missing is 0 and comes last.
void accumulate(StepValues& sums, const std::string& name, double value);

// Means over the steps since the last line.
class Window {
 public:
  void add(const StepValues& values);
  // What the clock says of a step: how long it took, and how long of that it waited for data.
  void add_seconds(double seconds, double data_wait_s, const Counts& of_step);
  bool has(const std::string& name) const;
  bool is_empty() const { return sums_.empty(); }
  // How long training waited for a checkpoint.
  void add_checkpoint_wait(double seconds) { checkpoint_wait_s_ += seconds; }
  double mean(const std::string& name) const;  // 0 where there is none
  // The line without expert statistics and without what the machine says.
  Json to_line(const Counts& counts, double learning_rate) const;
  // What the clock and the machine say: tokens_per_s, flops_per_s, with a rate that is not 0
  // matmul_flops_per_s and fraction_of_matmul, data_wait_s, checkpoint_wait_s (sum since
  // the last line, where there was one), and peak_memory_bytes of the process.
  Json machine(double matmul_flops_per_s) const;
  void clear() { *this = Window(); }

  // An unfinished window, for a checkpoint. Wall-clock time is not kept.
  Json to_json() const;
  static Window parse(const Json& saved);

 private:
  std::vector<std::pair<std::string, double>> sums_;
  std::vector<int64_t> num_values_;
  double seconds_ = 0, data_wait_s_ = 0, timed_steps_ = 0, timed_tokens_ = 0, timed_flops_ = 0;
  double checkpoint_wait_s_ = 0;
};

}  // namespace flanmoe::train
