// Writes checkpoints while training goes on.
#pragma once

#include <map>
#include <string>

#include "train/checkpoints/background_thread.h"
#include "train/checkpoints/snapshot.h"
#include "train/stage_folder.h"

namespace flanmoe::train {

// save() copies what a step changes (trained parameters, optimizer state) into memory of its own,
// kept from one checkpoint to the next; one thread then writes, checksums and syncs that copy, puts
// it in its place and removes checkpoints that are not kept. What frozen parameters have is read
// where it is, where it is written at all (StageFolder::weights()). For one calling thread.
class CheckpointWriter {
 public:
  // All must outlive it.
  CheckpointWriter(const StageFolder& folder, Optimizer& optimizer, const Config& config);
  // Waits; a checkpoint that could not be written is then a warning.
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // The checkpoint before must be written first: waits for it. Returns the seconds that it held up
  // the caller. Throws what check() does.
  double save(const Progressed& progressed);
  // The model as it stands, as best/step-...: `values` are those of the evaluation. The progress
  // saved from then on names it in best_step; it is there as long as a checkpoint that names it is.
  double save_best(int64_t step, const std::map<std::string, double>& values);
  // On disk when it returns, and without a copy in memory.
  void save_now(const Progressed& progressed);

  bool is_writing() const { return thread_.is_busy(); }
  // Throws Io where the last checkpoint could not be written (once); those before are then whole.
  void check() { thread_.check(); }
  // Until nothing is being written. Throws as check() does.
  void wait() { thread_.wait(); }
  // As wait(), where what is written next makes checkpoints needless: an error is a warning.
  void wait_and_warn();

 private:
  void take_parameters();
  void write(int64_t step, const std::string& trainer_json, int64_t best_step,
             const checkpoint::NamedTensors& trained,
             const checkpoint::NamedTensors& optimizer_state) const;

  const StageFolder& folder_;
  Optimizer& optimizer_;
  Retention retention_;
  Snapshot parameters_, optimizer_state_;
  BackgroundThread thread_;  // last: it reads the others
};

}  // namespace flanmoe::train
