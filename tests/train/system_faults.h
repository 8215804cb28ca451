// Faults of the system, planted: the n-th call that changes a file system fails, or ends the
// process.
#pragma once

namespace flanmoe::train {

enum class Fault {
  Kill,    // _exit(kKilled) before the call is made; a write is half made
  NoSpace  // ENOSPC, a write is half made
};
constexpr int kKilled = 137;

// Of the calling thread, while it lives: calls (open to write, write, fsync, rename, unlink, mkdir,
// rmdir, ...) are counted from 1.
class PlantedFault {
 public:
  PlantedFault(Fault fault, int call);
  ~PlantedFault();
  PlantedFault(const PlantedFault&) = delete;
  PlantedFault& operator=(const PlantedFault&) = delete;
  // Whether that call was made.
  bool is_met() const;
};

}  // namespace flanmoe::train
