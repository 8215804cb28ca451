// Matrix products, over all threads.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "ops/cpu/kernels.h"

namespace flanmoe::ops {

// Pieces of work of unequal size: every thread takes the next one when it is done with its last.
// What a piece computes may not hang on which thread takes it.
void for_pieces(int64_t count, const std::function<void(int64_t piece)>& work);

// c = a b. a [rows, inner], b [inner, columns], c [rows, columns] have one dtype and device; a and
// b may be transposed (either stride is 1), c is contiguous. Sums are at least fp32.
//
// On a CPU it is our product where that is the faster one: everywhere but on processors with
// AMX (bf16) or of Intel (fp32, fp64), where it is libtorch's. The few rows of decoding are
// multiplied with a transposed b (a weight) as it lies, for which the memory sets the pace. The
// choice follows from the shape and the processor, never from a measurement, so that a run can be
// repeated to the last bit; `flanmoe bench matmul` measures both.
void multiply(const at::Tensor& a, const at::Tensor& b, const at::Tensor& c);
// Whether multiply() takes our product on this processor's cores where there are enough rows.
bool prefers_own_product(at::ScalarType dtype);
// c = a b by our product. On the CPU.
void multiply_own(const at::Tensor& a, const at::Tensor& b, const at::Tensor& c);

// All of `products`, cut into pieces of a few hundred thousand results.
template <class T>
void multiply_all(const std::vector<cpu::Gemm<T>>& products);

// Fewer rows than these are multiplied without packing: that costs as much as some 20 rows.
constexpr int64_t kFewRows = 24;
// All of `products` (few rows each, a as it lies, b transposed) by dot products, cut along the
// columns. An element hangs on its row of a and its column of b alone.
template <class T>
void multiply_few_rows(const std::vector<cpu::Gemm<T>>& products);

}  // namespace flanmoe::ops
