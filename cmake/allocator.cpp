// The program's allocator is jemalloc, linked in; this is how it is set (jemalloc(3),
// "malloc_conf").
//
// A training step frees and asks for the same large blocks again. Freed memory stays with the
// process, since having it mapped and cleared anew takes as long as a sparse layer's products, and
// large blocks live beside small ones, where they are reused: with glibc's allocator set to keep
// its memory, one that recomputes its blocks took 2.7 times as much of it.
//
// Between steps most of it is one free extent. By default jemalloc takes from an extent at most 64
// times as large as the request and maps new memory beside a larger one, so that a process grows
// step by step and its pages are cleared again and again; here any extent will do.

extern "C" {
extern const char* malloc_conf;
const char* malloc_conf =
    "oversize_threshold:0,dirty_decay_ms:-1,muzzy_decay_ms:-1,"
    "lg_extent_max_active_fit:30";
}
