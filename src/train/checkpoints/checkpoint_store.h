// A folder of checkpoints, step-00000042/ and so on, each of them complete or absent.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "train/checkpoints/checksums.h"

namespace flanmoe::train {

// A checkpoint is written aside (step-00000042.tmp-<pid>), checksummed, synced and renamed. One
// that goes is renamed first too, so that a process killed while it removes leaves no half of it
// under its name.
class CheckpointStore {
 public:
  // Nothing is touched until write() or clean_up().
  explicit CheckpointStore(std::string folder) : folder_(std::move(folder)) {}

  const std::string& folder() const { return folder_; }
  std::string path(int64_t step) const;
  // Ascending.
  std::vector<int64_t> steps() const;

  // `fill` writes the checkpoint's files into the folder that it is given, and says which of them
  // it has hashed. A checkpoint of that step that is there is replaced. Throws Io; what was there
  // before is then untouched.
  void write(int64_t step, const std::function<FileHashes(const std::string& folder)>& fill) const;
  // Throws CorruptFile, Io (checksums.h).
  void check(int64_t step) const;
  // Removes all but these.
  void keep(const std::set<int64_t>& steps) const;
  // Removes what killed processes left of writing and removing.
  void clean_up() const;

 private:
  std::string folder_;
};

// Which checkpoints stay.
struct Retention {
  int64_t keep_last = 2;   // newest
  int64_t keep_every = 0;  // steps; 0: none
};
// Of `steps` (ascending), when `newest` has just been written. Later ones go: they are damaged ones
// that the run did not go on from.
std::set<int64_t> retain(const std::vector<int64_t>& steps, int64_t newest,
                         const Retention& retention);
// Those that stay when the run is over.
std::set<int64_t> retain_finished(const std::vector<int64_t>& steps, const Retention& retention);

}  // namespace flanmoe::train
