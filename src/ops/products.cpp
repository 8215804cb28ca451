#include "ops/products.h"

#include <ATen/Parallel.h>
#include <ATen/ops/mm.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "ops/tensors.h"

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

int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

template <class T>
cpu::Gemm<T> make_product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
  const auto is_transposed = [](const at::Tensor& x) { return x.stride(1) != 1 && x.size(1) > 1; };
  const auto stride = [&](const at::Tensor& x) { return x.stride(is_transposed(x) ? 1 : 0); };
  return {c.size(0),  c.size(1), a.size(1),        data<T>(a), stride(a), is_transposed(a),
          data<T>(b), stride(b), is_transposed(b), data<T>(c), c.size(1)};
}

bool is_plain(const at::Tensor& x) {
  return x.stride(0) == 1 || x.stride(1) == 1 || x.size(0) <= 1 || x.size(1) <= 1;
}

}  // namespace

void multiply(const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
  FLANMOE_ASSERT(a.size(0) == c.size(0) && b.size(1) == c.size(1) && a.size(1) == b.size(0));
  FLANMOE_ASSERT(is_plain(a) && is_plain(b) && c.is_contiguous());
  if (c.numel() == 0) return;
  if (a.is_cpu() && c.size(0) >= kFewRows && prefers_own_product(c.scalar_type()))
    return multiply_own(a, b, c);
  if (a.is_cpu() && c.size(0) < kFewRows && prefers_own_product(c.scalar_type()) &&
      (a.stride(1) == 1 || a.size(1) <= 1) && b.stride(0) == 1)
    return visit_dtype(
        "multiply", c,
        [&]<class T>(T) {
          // of one row or column the strides may say either
          multiply_few_rows<T>({{c.size(0), c.size(1), a.size(1), data<T>(a), a.stride(0), false,
                                 data<T>(b), b.stride(1), true, data<T>(c), c.size(1)}});
        },
        2 * static_cast<double>(c.numel()) * static_cast<double>(a.size(1)));
  at::Tensor result = c;
  at::mm_out(result, a, b);
}

bool prefers_own_product(at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? cpu::prefers_own_gemm<Bf16>() : cpu::prefers_own_gemm<float>();
}

void multiply_own(const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
  visit_dtype(
      "multiply", c, [&]<class T>(T) { multiply_all<T>({make_product<T>(a, b, c)}); },
      2 * static_cast<double>(c.numel()) * static_cast<double>(a.size(1)));
}

namespace {

// Packing b costs as much as some 20 rows of results: of the numbers of rows a piece may have, that
// with which the threads are done first.
constexpr int64_t kColumns = 256, kPackingRows = 20, kTileRows = 6;

template <class T>
std::vector<cpu::Gemm<T>> cut(const std::vector<cpu::Gemm<T>>& products, int64_t num_rows) {
  std::vector<cpu::Gemm<T>> pieces;
  for (const cpu::Gemm<T>& product : products) {
    if (product.rows == 0) continue;
    // equal ones, in whole tiles
    const int64_t parts = divide_up(product.rows, num_rows),
                  step = divide_up(divide_up(product.rows, parts), kTileRows) * kTileRows;
    for (int64_t row = 0; row < product.rows; row += step)
      for (int64_t column = 0; column < product.columns; column += kColumns) {
        cpu::Gemm<T> piece = product;
        piece.rows = std::min(step, product.rows - row);
        piece.columns = std::min(kColumns, product.columns - column);
        piece.a += product.a_is_transposed ? row : row * product.a_stride;
        piece.b += product.b_is_transposed ? column * product.b_stride : column;
        piece.c += row * product.c_stride + column;
        pieces.push_back(piece);
      }
  }
  // the largest first, so that none of them is left for the end
  std::stable_sort(pieces.begin(), pieces.end(), [](const auto& a, const auto& b) {
    return a.rows * a.columns * a.inner > b.rows * b.columns * b.inner;
  });
  return pieces;
}

// When the last thread is done, where each takes the next piece when it is done with its last.
template <class T>
int64_t estimate_time(const std::vector<cpu::Gemm<T>>& pieces, size_t num_threads) {
  std::vector<int64_t> busy_until(num_threads);
  for (const cpu::Gemm<T>& piece : pieces)
    *std::min_element(busy_until.begin(), busy_until.end()) +=
        (piece.rows + kPackingRows) * piece.columns * piece.inner;
  return *std::max_element(busy_until.begin(), busy_until.end());
}

// Cut as the threads are done with it first.
template <class T>
std::vector<cpu::Gemm<T>> cut_evenly(const std::vector<cpu::Gemm<T>>& products) {
  // the sums of longer ones would leave the cache
  constexpr int64_t kMostRows = 576, kFewerRows[] = {384, 288, 192, 96, 48};
  constexpr size_t kMostProducts = 16;  // many products balance by themselves
  const auto num_threads = static_cast<size_t>(at::get_num_threads());
  std::vector<cpu::Gemm<T>> best = cut(products, kMostRows);
  if (num_threads == 1 || products.size() > kMostProducts) return best;
  int64_t best_time = estimate_time(best, num_threads);
  for (const int64_t num_rows : kFewerRows) {
    std::vector<cpu::Gemm<T>> pieces = cut(products, num_rows);
    const int64_t time = estimate_time(pieces, num_threads);
    if (time >= best_time) continue;
    best = std::move(pieces);
    best_time = time;
  }
  return best;
}

}  // namespace

template <class T>
void multiply_all(const std::vector<cpu::Gemm<T>>& products) {
  const std::vector<cpu::Gemm<T>> pieces = cut_evenly(products);
  const cpu::GemmKernels<T>& kernels = cpu::gemm_kernels<T>();
  for_pieces(static_cast<int64_t>(pieces.size()), [&](int64_t i) {
    const cpu::Gemm<T>& piece = pieces[static_cast<size_t>(i)];
    kernels.gemm(piece, scratch_memory<Accumulator<T>>(kernels.scratch_size(piece)));
  });
}

template <class T>
void multiply_few_rows(const std::vector<cpu::Gemm<T>>& products) {
  constexpr int64_t kPieceWeights = 1 << 16;  // worth a thread's while
  std::vector<cpu::Gemm<T>> pieces;
  for (const cpu::Gemm<T>& product : products) {
    if (product.rows == 0) continue;
    // equal ones, as many as threads or a multiple, in whole blocks of columns
    const int64_t threads = at::get_num_threads(),
                  rounds = divide_up(product.columns * product.inner, kPieceWeights * threads),
                  step =
                      divide_up(divide_up(product.columns, std::max<int64_t>(1, rounds) * threads),
                                12) *
                      12;
    for (int64_t column = 0; column < product.columns; column += step) {
      cpu::Gemm<T> piece = product;
      piece.columns = std::min(step, product.columns - column);
      piece.b += column * product.b_stride;
      piece.c += column;
      pieces.push_back(piece);
    }
  }
  const cpu::GemmKernels<T>& kernels = cpu::gemm_kernels<T>();
  for_pieces(static_cast<int64_t>(pieces.size()),
             [&](int64_t i) { kernels.dot_products(pieces[static_cast<size_t>(i)]); });
}

template void multiply_few_rows(const std::vector<cpu::Gemm<float>>&);
template void multiply_few_rows(const std::vector<cpu::Gemm<double>>&);
template void multiply_few_rows(const std::vector<cpu::Gemm<Bf16>>&);
template void multiply_all(const std::vector<cpu::Gemm<float>>&);
template void multiply_all(const std::vector<cpu::Gemm<double>>&);
template void multiply_all(const std::vector<cpu::Gemm<Bf16>>&);

}  // namespace flanmoe::ops
