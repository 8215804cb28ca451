// CPU kernels. One source (kernels.inl) is compiled for several instruction sets, each in a
// namespace of its own, and the best set that this processor has is picked once.
#pragma once

#include "ops/kernels.h"

namespace flanmoe::ops::cpu {

// Scores of some queries (rows) of one head against consecutive keys.
template <class A>
struct AttentionTile {
  int64_t num_rows = 0;
  int64_t num_keys = 0;
  A* scores = nullptr;      // [num_rows, num_keys]
  const A* bias = nullptr;  // row stride bias_stride, or null
  int64_t bias_stride = 0;
  const A* key_mask = nullptr;  // 0 or -inf for every key, or null
  bool is_causal = false;
  int64_t num_visible = 0;              // if causal: row i sees the first num_visible + i keys
  const int64_t* token_keys = nullptr;  // one a row, or null: no dropout; the state of a row is
                                        // fold(fold(dropout_key, head), token key)
  uint64_t dropout_key = 0;
  int64_t head = 0;
  DropoutRule dropout;
};

// c [rows, columns] = a b, or + c where `adds`. Operands are arrays of words (see
// AttentionKernels::pair), `inner` is counted in words: a(i, p) = a[i * a_row + p * a_column], b
// [inner, columns].
template <class A>
struct MatrixProduct {
  int64_t rows = 0, columns = 0, inner = 0;
  const A* a = nullptr;
  int64_t a_row = 0, a_column = 1;
  const A* b = nullptr;
  int64_t b_stride = 0;
  A* c = nullptr;
  int64_t c_stride = 0;
  bool adds = false;
};

// c [rows, columns] = a b: a is [rows, inner], or [inner, rows] where it is transposed; b [inner,
// columns], or [columns, inner]. Rows lie `stride` apart. Sums are of the accumulator's type, in
// the order of `inner`, so that an element of c hangs on its row of a and its column of b alone,
// whatever stands beside them.
template <class T>
struct Gemm {
  int64_t rows = 0, columns = 0, inner = 0;
  const T* a = nullptr;
  int64_t a_stride = 0;
  bool a_is_transposed = false;
  const T* b = nullptr;
  int64_t b_stride = 0;
  bool b_is_transposed = false;
  T* c = nullptr;
  int64_t c_stride = 0;
};

// Runs in one thread; products.h cuts large ones.
template <class T>
struct GemmKernels {
  int64_t (*scratch_size)(const Gemm<T>& product);  // in accumulators
  void (*gemm)(const Gemm<T>& product, Accumulator<T>* scratch);
  // For few rows, without packing; a lies as it is, b is transposed. Sums go over the inner
  // dimension in parts of a vector's width: another order than gemm's, the same for any number of
  // rows and columns.
  void (*dot_products)(const Gemm<T>& product);
};

// What attention is made of. Runs in one thread: attention calls it from inside a parallel region.
template <class T>
struct AttentionKernels {
  using A = Accumulator<T>;

  // Values in a word of a matrix product's operands: 1 (a word is one A), or 2 where pairs of
  // bfloat16 are multiplied: two neighbours along the inner dimension, the second one 0 past an odd
  // end. words(n) = ceil(n / pair).
  int pair;
  void (*multiply)(const MatrixProduct<A>& product);
  // x [rows, width] as an operand: out [words(width), rows], [rows, words(width)], [words(rows),
  // width].
  void (*pack_transposed)(const T* x, int64_t stride, A* out, int64_t rows, int64_t width);
  void (*pack_rows)(const T* x, int64_t stride, A* out, int64_t rows, int64_t width);
  void (*pack_pairs)(const T* x, int64_t stride, A* out, int64_t rows, int64_t width);
  // The last two for contiguous scores.
  void (*pack_score_rows)(const A* x, A* out, int64_t rows, int64_t width);
  void (*pack_score_pairs)(const A* x, A* out, int64_t rows, int64_t width);

  // For few rows, without packing: out [x_rows, y_rows] = x y^T, and out [out_rows, width] = weight
  // [out_rows, x_rows] x.
  void (*dot_all)(const T* x, int64_t x_stride, const T* y, int64_t y_stride, A* out,
                  int64_t x_rows, int64_t y_rows, int64_t width);
  void (*sum_weighted)(const A* weight, const T* x, int64_t stride, A* out, int64_t out_rows,
                       int64_t x_rows, int64_t width);
  // out = x, times a factor a row where there is one.
  void (*store_rows)(const A* x, const A* factor, T* out, int64_t stride, int64_t rows,
                     int64_t columns);

  // scores -> weights that are probabilities once multiplied by inverse_sum (dropped ones 0, kept
  // ones scaled), as the words of pack_score_rows, or as they are where `weights` is `tile.scores`;
  // logsumexp a row, +inf for a row that sees nothing (may be null).
  void (*attention_softmax)(const AttentionTile<A>& tile, A* weights, A* inverse_sum, A* logsumexp);
  // scores -> dropped probabilities, grad (of the dropped probabilities) -> gradient of the scores;
  // grad_bias (row stride of its own, may be null) takes the latter added. delta a row: sum of
  // grad_output * output.
  void (*attention_softmax_backward)(const AttentionTile<A>& tile, const A* logsumexp,
                                     const A* delta, A* grad, A* grad_bias,
                                     int64_t grad_bias_stride);
  // out[i] = x[i] . y[i], row strides given.
  void (*row_dot)(const T* x, int64_t x_stride, const T* y, int64_t y_stride, A* out, int64_t rows,
                  int64_t columns);
};

// Some rows of ops/merging.h: weights of a merging router, and values scaled by what they merge.
// Either half may be missing.
template <class T>
struct MergingTile {
  using A = Accumulator<T>;
  int64_t rows = 0, num_experts = 0;
  int64_t top_k = 0;  // weights that are kept; 0: all
  // Weights are softmax(kernel input), or of gelu(input); null: `weights` are given.
  const T* input = nullptr;
  int64_t input_stride = 0, input_width = 0;
  bool applies_gelu = false;
  const A* kernel = nullptr;           // [experts, input_width]
  const A* kernel_by_input = nullptr;  // [input_width, experts]; null: better for few rows
  A* weights = nullptr;                // [rows, experts], what is kept; with a router and values it
  int64_t weights_stride = 0;          // may be null
  bool has_weights = false;            // those of the router are given too; backward, without top_k
  // output = values * (mass + sum_e weight_e (vector_e - 1)); null: weights alone are wanted. The
  // mass is 1, or the sum of the weights where `has_mass`.
  const T* values = nullptr;
  int64_t values_stride = 0, width = 0;
  const A* vectors = nullptr;  // [experts, width], vectors_stride apart
  const A* offsets = nullptr;  // the same - 1; null: better for few rows
  int64_t vectors_stride = 0;
  bool has_mass = false;
  T* output = nullptr;
  int64_t output_stride = 0;
};
// With kernel_by_input and offsets given. Gradients may be null where they are not wanted.
template <class T>
struct MergingGradients {
  using A = Accumulator<T>;
  const T* grad = nullptr;  // of the output
  int64_t grad_stride = 0;
  const A* offsets_by_value = nullptr;  // [width, experts]
  // Of the weights: taken where there are no values, given where there is no router.
  A* grad_weights = nullptr;
  int64_t grad_weights_stride = 0;
  T* grad_values = nullptr;  // and of the input, where `input` is `values`
  int64_t grad_values_stride = 0;
  T* grad_input = nullptr;  // where it is not
  int64_t grad_input_stride = 0;
  // Added to.
  A* grad_kernel = nullptr;   // [experts, input_width]
  A* grad_vectors = nullptr;  // [experts, width], vectors_stride apart
};
// Runs in one thread.
template <class T>
struct MergingKernels {
  using A = Accumulator<T>;
  int64_t (*scratch_size)(const MergingTile<T>& tile);  // in accumulators
  void (*merge)(const MergingTile<T>& tile, A* scratch);
  void (*merge_backward)(const MergingTile<T>& tile, const MergingGradients<T>& gradients,
                         A* scratch);
  // out[r, e size + i] = scale * weights[r, e] * x[r, e size + i]
  void (*scale_groups)(const T* x, const A* weights, A scale, T* out, int64_t rows,
                       int64_t num_groups, int64_t size);
  void (*scale_groups_backward)(const T* grad, const T* x, const A* weights, A scale, T* grad_x,
                                A* grad_weights, int64_t rows, int64_t num_groups, int64_t size);
};

// Of the best instruction set here. T: float, double, Bf16.
template <class T>
const RowKernels<T>& row_kernels();
template <class T>
const AttentionKernels<T>& attention_kernels();
template <class T>
const GemmKernels<T>& gemm_kernels();
template <class T>
const MergingKernels<T>& merging_kernels();
const char* instruction_set();
// Whether this processor multiplies matrices of T faster by our kernels than by libtorch's
// libraries; float stands for double too.
template <class T>
bool prefers_own_gemm();

// For tests: the tables by name ("generic", "avx2", "avx512", "avx512bf16"); null where this
// processor lacks the set.
template <class T>
struct Tables {
  RowKernels<T> rows;
  AttentionKernels<T> attention;
  GemmKernels<T> gemm;
  MergingKernels<T> merging;
};
template <class T>
const Tables<T>* find_kernels(const char* instruction_set);

}  // namespace flanmoe::ops::cpu
