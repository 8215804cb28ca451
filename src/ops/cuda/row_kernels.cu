// RowKernels on CUDA: one block a row (or, for elementwise ones, a grid over all elements), sums in
// a fixed order.
#include "ops/cuda/row_kernels.h"

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_bf16.h>

#include <algorithm>

namespace flanmoe::ops::cuda {

namespace {

constexpr int kBlock = 256;
constexpr int64_t kMaxBlocks = 65535;

__device__ float widen(float x) {
  return x;
}
__device__ double widen(double x) {
  return x;
}
__device__ float widen(Bf16 x) {
  return __uint_as_float(static_cast<uint32_t>(x.bits) << 16);
}
__device__ void narrow(float x, float* p) {
  *p = x;
}
__device__ void narrow(double x, double* p) {
  *p = x;
}
__device__ void narrow(float x, Bf16* p) {
  p->bits = __bfloat16_as_ushort(__float2bfloat16_rn(x));
}

__device__ uint64_t mix64(uint64_t x) {
  x += 0x9E3779B97F4A7C15ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}
__device__ uint64_t fold_key(uint64_t key, uint64_t part) {
  return mix64(key ^ mix64(part + 0x632BE59BD9B4E019ull));
}
__device__ uint32_t noise_bits(uint64_t state, int64_t element) {
  return static_cast<uint32_t>(
             mix64(state + static_cast<uint64_t>(element / 4) * 0x9E3779B97F4A7C15ull) >>
             (16 * (element % 4))) &
         0xffff;
}

// Result of `merge` over the values of a block's threads, the same in all of them.
template <class A, class Merge>
__device__ A merge_block(A value, Merge merge) {
  __shared__ A shared[kBlock];
  __syncthreads();
  shared[threadIdx.x] = value;
  for (int width = kBlock / 2; width > 0; width /= 2) {
    __syncthreads();
    if (threadIdx.x < width)
      shared[threadIdx.x] = merge(shared[threadIdx.x], shared[threadIdx.x + width]);
  }
  __syncthreads();
  return shared[0];
}
template <class A>
__device__ A sum_block(A value) {
  return merge_block(value, [](A a, A b) { return a + b; });
}
template <class A>
__device__ A max_block(A value) {
  return merge_block(value, [](A a, A b) { return a > b || a != a ? a : b; });
}

#define FLANMOE_FOR_ROWS(r) for (int64_t r = blockIdx.x; r < rows; r += gridDim.x)
#define FLANMOE_FOR_COLUMNS(i) for (int64_t i = threadIdx.x; i < columns; i += kBlock)

template <class T, class A = Accumulator<T>>
__global__ void rms_norm_kernel(const T* x, const A* weight, A eps, T* y, A* inverse_rms,
                                int64_t rows, int64_t columns) {
  FLANMOE_FOR_ROWS(r) {
    A squares = 0;
    FLANMOE_FOR_COLUMNS(i) squares += widen(x[r * columns + i]) * widen(x[r * columns + i]);
    const A inverse = A(1) / sqrt(sum_block(squares) / static_cast<A>(columns) + eps);
    if (inverse_rms && threadIdx.x == 0) inverse_rms[r] = inverse;
    FLANMOE_FOR_COLUMNS(i)
    narrow(widen(x[r * columns + i]) * inverse * weight[i], y + r * columns + i);
  }
}

template <class T, class A = Accumulator<T>>
__global__ void rms_norm_backward_kernel(const T* grad, const T* x, const A* weight,
                                         const A* inverse_rms, T* grad_x, int64_t rows,
                                         int64_t columns) {
  FLANMOE_FOR_ROWS(r) {
    A dot = 0;
    FLANMOE_FOR_COLUMNS(i)
    dot += widen(grad[r * columns + i]) * widen(x[r * columns + i]) * weight[i];
    const A inverse = inverse_rms[r];
    const A factor = sum_block(dot) * inverse * inverse / static_cast<A>(columns);
    FLANMOE_FOR_COLUMNS(i)
    narrow(
        (widen(grad[r * columns + i]) * weight[i] - widen(x[r * columns + i]) * factor) * inverse,
        grad_x + r * columns + i);
  }
}

// Part p of the sum over rows.
template <class T, class A = Accumulator<T>>
__global__ void norm_weight_part_kernel(const T* grad, const T* x, const A* inverse_rms, A* partial,
                                        int64_t part_rows, int64_t rows, int64_t columns) {
  const int64_t p = blockIdx.x, end = min(rows, (p + 1) * part_rows);
  FLANMOE_FOR_COLUMNS(i) {
    A sum = 0;
    for (int64_t r = p * part_rows; r < end; ++r)
      sum += widen(grad[r * columns + i]) * widen(x[r * columns + i]) * inverse_rms[r];
    partial[p * columns + i] = sum;
  }
}
template <class A>
__global__ void sum_parts_kernel(const A* partial, A* total, int64_t num_parts, int64_t columns) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kBlock + threadIdx.x;
  if (i >= columns) return;
  A sum = 0;
  for (int64_t p = 0; p < num_parts; ++p) sum += partial[p * columns + i];
  total[i] = sum;
}

template <class A>
__device__ A gelu_sigmoid(A x) {
  return A(1) / (A(1) + exp(A(-2 * 0.79788456080286535588) * (x + A(0.044715) * x * x * x)));
}
template <class T, class A = Accumulator<T>>
__global__ void gated_gelu_kernel(const T* gate, int64_t gate_stride, const T* up,
                                  int64_t up_stride, T* y, int64_t rows, int64_t columns) {
  FLANMOE_FOR_ROWS(r) FLANMOE_FOR_COLUMNS(i) {
    const A x = widen(gate[r * gate_stride + i]);
    narrow(x * gelu_sigmoid(x) * widen(up[r * up_stride + i]), y + r * columns + i);
  }
}
template <class T, class A = Accumulator<T>>
__global__ void gated_gelu_backward_kernel(const T* grad, const T* gate, int64_t gate_stride,
                                           const T* up, int64_t up_stride, T* grad_gate, T* grad_up,
                                           int64_t rows, int64_t columns) {
  FLANMOE_FOR_ROWS(r) FLANMOE_FOR_COLUMNS(i) {
    const A x = widen(gate[r * gate_stride + i]), g = widen(grad[r * columns + i]),
            s = gelu_sigmoid(x);
    const A slope =
        s + x * s * (A(1) - s) * A(2 * 0.79788456080286535588) * (A(1) + A(3 * 0.044715) * x * x);
    narrow(g * x * s, grad_up + r * columns + i);
    narrow(g * widen(up[r * up_stride + i]) * slope, grad_gate + r * columns + i);
  }
}

template <class T, class A = Accumulator<T>>
__global__ void dropout_kernel(const T* x, const T* addend, T* y, const int64_t* token_keys,
                               uint64_t key, DropoutRule rule, int64_t rows, int64_t columns) {
  FLANMOE_FOR_ROWS(r) {
    const uint64_t state = fold_key(key, static_cast<uint64_t>(token_keys[r]));
    FLANMOE_FOR_COLUMNS(i) {
      const bool is_kept = noise_bits(state, i) >= rule.threshold;
      const A kept = is_kept ? widen(x[r * columns + i]) * static_cast<A>(rule.scale) : A(0);
      narrow(addend ? widen(addend[r * columns + i]) + kept : kept, y + r * columns + i);
    }
  }
}
template <class T, class A = Accumulator<T>>
__global__ void jitter_kernel(const T* x, T* y, const int64_t* token_keys, uint64_t key,
                              double epsilon, int64_t rows, int64_t columns) {
  FLANMOE_FOR_ROWS(r) {
    const uint64_t state = fold_key(key, static_cast<uint64_t>(token_keys[r]));
    const A low = static_cast<A>(1 - epsilon), step = static_cast<A>(2 * epsilon / 65536);
    FLANMOE_FOR_COLUMNS(i)
    narrow(
        widen(x[r * columns + i]) * (low + step * (static_cast<A>(noise_bits(state, i)) + A(0.5))),
        y + r * columns + i);
  }
}

template <class T, class A = Accumulator<T>>
__global__ void cross_entropy_kernel(const T* logits, int64_t stride, const int64_t* labels,
                                     CrossEntropyRule rule, A* loss, A* logsumexp, int64_t rows,
                                     int64_t columns) {
  const A z_coefficient = static_cast<A>(rule.z_coefficient),
          smoothing = static_cast<A>(rule.label_smoothing);
  FLANMOE_FOR_ROWS(r) {
    const T* row = logits + r * stride;
    A result = 0, lse = 0;
    if (labels[r] >= 0) {
      A peak = -INFINITY, sum = 0;
      FLANMOE_FOR_COLUMNS(i) peak = max(peak, widen(row[i]));
      peak = max_block(peak);
      FLANMOE_FOR_COLUMNS(i) sum += exp(widen(row[i]) - peak);
      lse = peak + log(sum_block(sum));
      A mean = 0;
      if (smoothing != 0) {
        FLANMOE_FOR_COLUMNS(i) mean += widen(row[i]);
        mean = sum_block(mean) / static_cast<A>(columns);
      }
      result = labels[r] < columns ? (A(1) - smoothing) * (lse - widen(row[labels[r]])) +
                                         smoothing * (lse - mean) + z_coefficient * lse * lse
                                   : A(NAN);
    }
    if (threadIdx.x == 0) {
      loss[r] = result;
      if (logsumexp) logsumexp[r] = lse;
    }
  }
}
template <class T, class A = Accumulator<T>>
__global__ void cross_entropy_backward_kernel(const A* grad, const T* logits, int64_t stride,
                                              const int64_t* labels, const A* logsumexp,
                                              CrossEntropyRule rule, T* grad_logits, int64_t rows,
                                              int64_t columns) {
  const A z_coefficient = static_cast<A>(rule.z_coefficient),
          smoothing = static_cast<A>(rule.label_smoothing),
          even = smoothing / static_cast<A>(columns);
  FLANMOE_FOR_ROWS(r) {
    const A lse = logsumexp[r],
            factor = labels[r] < 0 ? A(0) : grad[r] * (A(1) + 2 * z_coefficient * lse);
    FLANMOE_FOR_COLUMNS(i) {
      const A g = labels[r] < 0
                      ? A(0)
                      : exp(widen(logits[r * stride + i]) - lse) * factor - grad[r] * even -
                            (i == labels[r] ? grad[r] * (A(1) - smoothing) : A(0));
      narrow(g, grad_logits + r * columns + i);
    }
  }
}

template <class T, class A = Accumulator<T>>
__global__ void gather_rows_kernel(const T* x, const int64_t* index, const A* weight, T* out,
                                   int64_t rows, int64_t columns) {
  FLANMOE_FOR_ROWS(r) FLANMOE_FOR_COLUMNS(i) {
    const T value = x[index[r] * columns + i];
    if (weight)
      narrow(weight[r] * widen(value), out + r * columns + i);
    else
      out[r * columns + i] = value;
  }
}
template <class T, class A = Accumulator<T>>
__global__ void sum_rows_kernel(const T* x, const int64_t* offsets, const int64_t* order,
                                const A* weight, T* out, int64_t rows, int64_t columns) {
  FLANMOE_FOR_ROWS(r) FLANMOE_FOR_COLUMNS(i) {
    A sum = 0;
    for (int64_t p = offsets[r]; p < offsets[r + 1]; ++p) {
      const A value = widen(x[order[p] * columns + i]);
      sum += weight ? weight[order[p]] * value : value;
    }
    narrow(sum, out + r * columns + i);
  }
}
template <class T, class A = Accumulator<T>>
__global__ void dot_rows_kernel(const T* x, const T* y, const int64_t* index, A* out, int64_t rows,
                                int64_t columns) {
  FLANMOE_FOR_ROWS(r) {
    A sum = 0;
    FLANMOE_FOR_COLUMNS(i) sum += widen(x[r * columns + i]) * widen(y[index[r] * columns + i]);
    sum = sum_block(sum);
    if (threadIdx.x == 0) out[r] = sum;
  }
}

#undef FLANMOE_FOR_ROWS
#undef FLANMOE_FOR_COLUMNS

// Launches `kernel` with a block a row on the current stream.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), int64_t blocks, Arguments... arguments) {
  if (blocks == 0) return;
  const auto grid = static_cast<unsigned>(std::min(blocks, kMaxBlocks));
  kernel<<<grid, kBlock, 0, c10::cuda::getCurrentCUDAStream().stream()>>>(
      static_cast<Parameters>(arguments)...);
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

template <class T>
struct Launchers {
  using A = Accumulator<T>;

  static void rms_norm(const T* x, const A* weight, double eps, T* y, A* inverse_rms, int64_t rows,
                       int64_t columns) {
    launch(rms_norm_kernel<T>, rows, x, weight, eps, y, inverse_rms, rows, columns);
  }
  static void rms_norm_backward(const T* grad, const T* x, const A* weight, const A* inverse_rms,
                                T* grad_x, A* grad_weight, A* partial, int64_t num_parts,
                                int64_t rows, int64_t columns) {
    if (grad_x)
      launch(rms_norm_backward_kernel<T>, rows, grad, x, weight, inverse_rms, grad_x, rows,
             columns);
    if (!grad_weight) return;
    launch(norm_weight_part_kernel<T>, num_parts, grad, x, inverse_rms, partial,
           (rows + num_parts - 1) / num_parts, rows, columns);
    launch(sum_parts_kernel<A>, (columns + kBlock - 1) / kBlock, partial, grad_weight, num_parts,
           columns);
  }
  static void gated_gelu(const T* gate, int64_t gate_stride, const T* up, int64_t up_stride, T* y,
                         int64_t rows, int64_t columns) {
    launch(gated_gelu_kernel<T>, rows, gate, gate_stride, up, up_stride, y, rows, columns);
  }
  static void gated_gelu_backward(const T* grad, const T* gate, int64_t gate_stride, const T* up,
                                  int64_t up_stride, T* grad_gate, T* grad_up, int64_t rows,
                                  int64_t columns) {
    launch(gated_gelu_backward_kernel<T>, rows, grad, gate, gate_stride, up, up_stride, grad_gate,
           grad_up, rows, columns);
  }
  static void dropout(const T* x, const T* addend, T* y, const int64_t* token_keys, uint64_t key,
                      DropoutRule rule, int64_t rows, int64_t columns) {
    launch(dropout_kernel<T>, rows, x, addend, y, token_keys, key, rule, rows, columns);
  }
  static void jitter(const T* x, T* y, const int64_t* token_keys, uint64_t key, double epsilon,
                     int64_t rows, int64_t columns) {
    launch(jitter_kernel<T>, rows, x, y, token_keys, key, epsilon, rows, columns);
  }
  static void cross_entropy(const T* logits, int64_t stride, const int64_t* labels,
                            CrossEntropyRule rule, A* loss, A* logsumexp, int64_t rows,
                            int64_t columns) {
    launch(cross_entropy_kernel<T>, rows, logits, stride, labels, rule, loss, logsumexp, rows,
           columns);
  }
  static void cross_entropy_backward(const A* grad, const T* logits, int64_t stride,
                                     const int64_t* labels, const A* logsumexp,
                                     CrossEntropyRule rule, T* grad_logits, int64_t rows,
                                     int64_t columns) {
    launch(cross_entropy_backward_kernel<T>, rows, grad, logits, stride, labels, logsumexp, rule,
           grad_logits, rows, columns);
  }
  static void gather_rows(const T* x, const int64_t* index, const A* weight, T* out, int64_t rows,
                          int64_t columns) {
    launch(gather_rows_kernel<T>, rows, x, index, weight, out, rows, columns);
  }
  static void sum_rows(const T* x, const int64_t* offsets, const int64_t* order, const A* weight,
                       T* out, int64_t rows, int64_t columns) {
    launch(sum_rows_kernel<T>, rows, x, offsets, order, weight, out, rows, columns);
  }
  static void dot_rows(const T* x, const T* y, const int64_t* index, A* out, int64_t rows,
                       int64_t columns) {
    launch(dot_rows_kernel<T>, rows, x, y, index, out, rows, columns);
  }

  static constexpr RowKernels<T> table{rms_norm,      rms_norm_backward,
                                       gated_gelu,    gated_gelu_backward,
                                       dropout,       jitter,
                                       cross_entropy, cross_entropy_backward,
                                       gather_rows,   sum_rows,
                                       dot_rows};
};

}  // namespace

template <class T>
const RowKernels<T>& row_kernels() {
  return Launchers<T>::table;
}
template const RowKernels<float>& row_kernels<float>();
template const RowKernels<double>& row_kernels<double>();
template const RowKernels<Bf16>& row_kernels<Bf16>();

}  // namespace flanmoe::ops::cuda
