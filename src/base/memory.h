// What the process uses, from the system.
#pragma once

#include <cstdint>

namespace flanmoe {

// Largest resident size in bytes, since the start or the last reset_peak_memory(). (Not that of
// getrusage, which begins with what the process had before exec: its parent's.)
int64_t peak_memory_bytes();
// The peak counts from the size of now. Where the system does not allow it, the peak stays that
// since the start.
void reset_peak_memory();
// Gives memory that was freed, and that the allocator keeps for what is allocated next, back to the
// system: after work of another kind than what follows, loading a model before training it. Does
// nothing where the allocator is not jemalloc.
void release_free_memory();
// Resident size now, in bytes.
int64_t resident_memory_bytes();
// What the machine has in all, in bytes, and the number of its physical cores that this process may
// run on.
int64_t machine_memory_bytes();
int num_physical_cores();

}  // namespace flanmoe
