// Raw-pointer CPU kernels, without torch. One source (kernels.inl) is compiled for several instruction sets, each in a namespace of its
// own, and the best set that this processor has is picked once.
//
// T is the type of the values, A = Accumulator<T> that of statistics and sums. Rows are contiguous unless a stride is given. No result
// depends on the number of threads: a sum belongs to one thread, or is cut into parts whose number follows from the shape.
#pragma once

#include <cstdint>

namespace flanmoe::ops::cpu {

struct Bf16 {
  uint16_t bits;
};

template <class T>
struct AccumulatorOf {
  using Type = float;
};
template <>
struct AccumulatorOf<double> {
  using Type = double;
};
template <class T>
using Accumulator = typename AccumulatorOf<T>::Type;

constexpr uint64_t mix64(uint64_t x) {  // as in base/random.h, which the per-processor files must not share inline code with
  x += 0x9E3779B97F4A7C15ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}
// RandomKey::fold on a state.
constexpr uint64_t fold_key(uint64_t key, uint64_t part) { return mix64(key ^ mix64(part + 0x632BE59BD9B4E019ull)); }

// Element d of a row with state s is kept iff bits 16 (d % 4) .. of mix64(s + (d / 4) * golden) are at or above `threshold`.
struct DropoutRule {
  uint32_t threshold = 0;  // of 65536; 0 keeps everything
  double scale = 1;        // of what is kept
};

// Scores of some queries (rows) of one head against consecutive keys.
template <class A>
struct AttentionTile {
  int64_t num_rows = 0;
  int64_t num_keys = 0;
  A* scores = nullptr;  // [num_rows, num_keys]
  const A* bias = nullptr;  // row stride bias_stride, or null
  int64_t bias_stride = 0;
  const A* key_mask = nullptr;  // 0 or -inf for every key, or null
  bool is_causal = false;
  int64_t num_visible = 0;  // if causal: row i sees the first num_visible + i keys
  const uint64_t* dropout_states = nullptr;  // one a row, or null
  DropoutRule dropout;
};

// c [rows, columns] = a b, or + c where `adds`. Operands are arrays of words (see KernelTable::pair), `inner` is counted in words:
// a(i, p) = a[i * a_row + p * a_column], b [inner, columns].
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

template <class T>
struct KernelTable {
  using A = Accumulator<T>;

  // y = x * inverse_rms * weight; the backward sums over rows in `num_parts` parts (partial [num_parts, columns] is scratch).
  void (*rms_norm)(const T* x, const A* weight, double eps, T* y, A* inverse_rms, int64_t rows, int64_t columns);
  void (*rms_norm_backward)(const T* grad, const T* x, const A* weight, const A* inverse_rms, T* grad_x, A* grad_weight, A* partial,
                            int64_t num_parts, int64_t rows, int64_t columns);

  void (*gated_gelu)(const T* gate, int64_t gate_stride, const T* up, int64_t up_stride, T* y, int64_t rows, int64_t columns);
  void (*gated_gelu_backward)(const T* grad, const T* gate, int64_t gate_stride, const T* up, int64_t up_stride, T* grad_gate, T* grad_up,
                              int64_t rows, int64_t columns);

  void (*dropout)(const T* x, T* y, const int64_t* token_keys, uint64_t key, DropoutRule rule, int64_t rows, int64_t columns);
  void (*jitter)(const T* x, T* y, const int64_t* token_keys, uint64_t key, double epsilon, int64_t rows, int64_t columns);

  // loss and logsumexp a row; grad_logits = grad * ((1 + 2 z logsumexp) softmax - onehot).
  void (*cross_entropy)(const T* logits, int64_t stride, const int64_t* labels, double z_coefficient, A* loss, A* logsumexp, int64_t rows, int64_t columns);
  void (*cross_entropy_backward)(const A* grad, const T* logits, int64_t stride, const int64_t* labels, const A* logsumexp, double z_coefficient,
                                 T* grad_logits, int64_t rows, int64_t columns);

  // out[i] = weight[i] * x[index[i]] (weight may be null).
  void (*gather_rows)(const T* x, const int64_t* index, const A* weight, T* out, int64_t rows, int64_t columns);
  // out[t] = sum over p in [offsets[t], offsets[t + 1]) of weight[order[p]] * x[order[p]] (weight may be null), summed in A.
  void (*sum_rows)(const T* x, const int64_t* offsets, const int64_t* order, const A* weight, T* out, int64_t rows, int64_t columns);
  // out[i] = x[i] . y[index[i]]
  void (*dot_rows)(const T* x, const T* y, const int64_t* index, A* out, int64_t rows, int64_t columns);

  // The rest runs in one thread: attention calls it from inside a parallel region.

  // Values in a word of a matrix product's operands: 1 (a word is one A), or 2 where pairs of bfloat16 are multiplied: two neighbours
  // along the inner dimension, the second one 0 past an odd end. words(n) = ceil(n / pair).
  int pair;
  void (*multiply)(const MatrixProduct<A>& product);
  // x [rows, width] as an operand: out [words(width), rows], [rows, words(width)], [words(rows), width].
  void (*pack_transposed)(const T* x, int64_t stride, A* out, int64_t rows, int64_t width);
  void (*pack_rows)(const T* x, int64_t stride, A* out, int64_t rows, int64_t width);
  void (*pack_pairs)(const T* x, int64_t stride, A* out, int64_t rows, int64_t width);
  // The last two for contiguous scores.
  void (*pack_score_rows)(const A* x, A* out, int64_t rows, int64_t width);
  void (*pack_score_pairs)(const A* x, A* out, int64_t rows, int64_t width);

  // For few rows, without packing: out [x_rows, y_rows] = x y^T, and out [out_rows, width] = weight [out_rows, x_rows] x.
  void (*dot_all)(const T* x, int64_t x_stride, const T* y, int64_t y_stride, A* out, int64_t x_rows, int64_t y_rows, int64_t width);
  void (*sum_weighted)(const A* weight, const T* x, int64_t stride, A* out, int64_t out_rows, int64_t x_rows, int64_t width);
  // out = x, times a factor a row where there is one.
  void (*store_rows)(const A* x, const A* factor, T* out, int64_t stride, int64_t rows, int64_t columns);

  // scores -> weights that are probabilities once multiplied by inverse_sum (dropped ones 0, kept ones scaled), as the words of
  // pack_score_rows, or as they are where `weights` is `tile.scores`; logsumexp a row, +inf for a row that sees nothing (may be null).
  void (*attention_softmax)(const AttentionTile<A>& tile, A* weights, A* inverse_sum, A* logsumexp);
  // scores -> dropped probabilities, grad (of the dropped probabilities) -> gradient of the scores; grad_bias (row stride of its own,
  // may be null) takes the latter added. delta a row: sum of grad_output * output.
  void (*attention_softmax_backward)(const AttentionTile<A>& tile, const A* logsumexp, const A* delta, A* grad, A* grad_bias, int64_t grad_bias_stride);
  // out[i] = x[i] . y[i], row strides given.
  void (*row_dot)(const T* x, int64_t x_stride, const T* y, int64_t y_stride, A* out, int64_t rows, int64_t columns);
};

// Of the best instruction set here. T: float, double, Bf16.
template <class T>
const KernelTable<T>& kernels();
const char* instruction_set();

// For tests: the tables by name ("generic", "avx2", "avx512", "avx512bf16"); null where this processor lacks the set.
template <class T>
const KernelTable<T>* find_kernels(const char* instruction_set);

}  // namespace flanmoe::ops::cpu
