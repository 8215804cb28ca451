// Threads that give way to compute threads.
#pragma once

namespace flanmoe {

// Sets the priority of the calling thread alone to `nice`, 0 (as any other) to 19 (the lowest).
// Where the system refuses, the thread runs as any other.
void lower_thread_priority(int nice);

}  // namespace flanmoe
