// The program's allocator is jemalloc, linked in; this is how it is set (jemalloc(3),
// "malloc_conf").
//
// A training step frees and asks for the same large blocks again. Freed memory stays with the
// process, since having it mapped and cleared anew takes as long as a sparse layer's products, and
// large blocks live beside small ones, where they are reused: with glibc's allocator set to keep
// its memory, one that recomputes its blocks took 2.7 times as much of it.

extern "C" {
extern const char* malloc_conf;
const char* malloc_conf = "oversize_threshold:0,dirty_decay_ms:-1,muzzy_decay_ms:-1";
}
