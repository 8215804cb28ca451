#include "ops/products.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>

namespace flanmoe::ops {

void for_pieces(int64_t count, const std::function<void(int64_t)>& work) {
  std::atomic<int64_t> next{0};
  const int64_t num_threads = std::min<int64_t>(count, at::get_num_threads());
  at::parallel_for(0, num_threads, 1, [&](int64_t, int64_t) {
    for (int64_t piece; (piece = next.fetch_add(1)) < count;) work(piece);
  });
}

namespace {

// Of the thread; grows to what its largest piece needs.
template <class A>
A* scratch_memory(int64_t size) {
  thread_local std::vector<A> memory;
  if (static_cast<int64_t>(memory.size()) < size) memory.resize(static_cast<size_t>(size));
  return memory.data();
}

}  // namespace

template <class T>
void multiply_all(const std::vector<cpu::Gemm<T>>& products) {
  // Packing b costs as much as some 20 rows of results, so a piece has as many rows as its scratch
  // memory allows.
  constexpr int64_t kRows = 576, kColumns = 256;
  std::vector<cpu::Gemm<T>> pieces;
  for (const cpu::Gemm<T>& product : products)
    for (int64_t row = 0; row < product.rows; row += kRows)
      for (int64_t column = 0; column < product.columns; column += kColumns) {
        cpu::Gemm<T> piece = product;
        piece.rows = std::min(kRows, product.rows - row);
        piece.columns = std::min(kColumns, product.columns - column);
        piece.a += product.a_is_transposed ? row : row * product.a_stride;
        piece.b += product.b_is_transposed ? column * product.b_stride : column;
        piece.c += row * product.c_stride + column;
        pieces.push_back(piece);
      }
  // the largest first, so that none of them is left for the end
  std::stable_sort(pieces.begin(), pieces.end(), [](const auto& a, const auto& b) {
    return a.rows * a.columns * a.inner > b.rows * b.columns * b.inner;
  });
  const cpu::GemmKernels<T>& kernels = cpu::gemm_kernels<T>();
  for_pieces(static_cast<int64_t>(pieces.size()), [&](int64_t i) {
    const cpu::Gemm<T>& piece = pieces[static_cast<size_t>(i)];
    kernels.gemm(piece, scratch_memory<Accumulator<T>>(kernels.scratch_size(piece)));
  });
}

template void multiply_all(const std::vector<cpu::Gemm<float>>&);
template void multiply_all(const std::vector<cpu::Gemm<double>>&);
template void multiply_all(const std::vector<cpu::Gemm<Bf16>>&);

}  // namespace flanmoe::ops
