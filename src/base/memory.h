// What the process uses, from the system.
#pragma once

#include <cstdint>

namespace flanmoe {

// Largest resident size so far, in bytes.
int64_t peak_memory_bytes();
// Resident size now, in bytes.
int64_t resident_memory_bytes();
// What the machine has in all, in bytes, and the number of its physical cores that this process may
// run on.
int64_t machine_memory_bytes();
int num_physical_cores();

}  // namespace flanmoe
