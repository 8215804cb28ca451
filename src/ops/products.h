// Matrix products on the CPU, over all threads.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "ops/cpu/kernels.h"

namespace flanmoe::ops {

// Pieces of work of unequal size: every thread takes the next one when it is done with its last.
// What a piece computes may not hang on which thread takes it.
void for_pieces(int64_t count, const std::function<void(int64_t piece)>& work);

// All of `products`, cut into pieces of a few hundred thousand results.
template <class T>
void multiply_all(const std::vector<cpu::Gemm<T>>& products);

}  // namespace flanmoe::ops
