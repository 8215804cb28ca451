// Raw-pointer kernels over rows, without torch: the tables that src/ops/cpu and src/ops/cuda fill
// and the ops call.
//
// T is the type of the values, A = Accumulator<T> that of statistics and sums. Rows are contiguous
// unless a stride is given. No result depends on the number of threads: a sum belongs to one thread
// or block, or is cut into parts whose number follows from the shape.
#pragma once

#include <cstdint>

namespace flanmoe::ops {

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

// Element d of a row with state s = fold(key, token key) is kept iff bits 16 (d % 4) .. of mix64(s
// + (d / 4) * golden) are at or above `threshold`; fold and mix64 are those of base/random.h.
struct DropoutRule {
  uint32_t threshold = 0;  // of 65536; 0 keeps everything
  double scale = 1;        // of what is kept
};

// Loss of a row of V logits: (1 - label_smoothing) * (lse - logit[label]) + label_smoothing * (lse
// - mean of the logits) + z_coefficient * lse^2, lse = logsumexp of the row.
struct CrossEntropyRule {
  double z_coefficient = 0;
  double label_smoothing = 0;  // of the probability, spread evenly over all V
};

template <class T>
struct RowKernels {
  using A = Accumulator<T>;

  // y = x * inverse_rms * weight; the backward sums over rows in `num_parts` parts (partial
  // [num_parts, columns] is scratch).
  void (*rms_norm)(const T* x, const A* weight, double eps, T* y, A* inverse_rms, int64_t rows,
                   int64_t columns);
  void (*rms_norm_backward)(const T* grad, const T* x, const A* weight, const A* inverse_rms,
                            T* grad_x, A* grad_weight, A* partial, int64_t num_parts, int64_t rows,
                            int64_t columns);

  void (*gated_gelu)(const T* gate, int64_t gate_stride, const T* up, int64_t up_stride, T* y,
                     int64_t rows, int64_t columns);
  void (*gated_gelu_backward)(const T* grad, const T* gate, int64_t gate_stride, const T* up,
                              int64_t up_stride, T* grad_gate, T* grad_up, int64_t rows,
                              int64_t columns);

  // y = dropout(x), plus `addend` unless that is null.
  void (*dropout)(const T* x, const T* addend, T* y, const int64_t* token_keys, uint64_t key,
                  DropoutRule rule, int64_t rows, int64_t columns);
  void (*jitter)(const T* x, T* y, const int64_t* token_keys, uint64_t key, double epsilon,
                 int64_t rows, int64_t columns);

  // loss and logsumexp a row; grad_logits = grad * ((1 + 2 z logsumexp) softmax - the smoothed
  // onehot), in place where it is `logits` and stride is columns.
  void (*cross_entropy)(const T* logits, int64_t stride, const int64_t* labels,
                        CrossEntropyRule rule, A* loss, A* logsumexp, int64_t rows,
                        int64_t columns);
  void (*cross_entropy_backward)(const A* grad, const T* logits, int64_t stride,
                                 const int64_t* labels, const A* logsumexp, CrossEntropyRule rule,
                                 T* grad_logits, int64_t rows, int64_t columns);

  // out[i] = weight[i] * x[index[i]] (weight may be null).
  void (*gather_rows)(const T* x, const int64_t* index, const A* weight, T* out, int64_t rows,
                      int64_t columns);
  // out[t] = sum over p in [offsets[t], offsets[t + 1]) of weight[order[p]] * x[order[p]] (weight
  // may be null), summed in A.
  void (*sum_rows)(const T* x, const int64_t* offsets, const int64_t* order, const A* weight,
                   T* out, int64_t rows, int64_t columns);
  // out[i] = x[i] . y[index[i]]
  void (*dot_rows)(const T* x, const T* y, const int64_t* index, A* out, int64_t rows,
                   int64_t columns);
};

}  // namespace flanmoe::ops
