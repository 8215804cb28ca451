// Part of kernels.inl: RowKernels.

// ---- norm
// ----------------------------------------------------------------------------------------------------------------------------

template <class T>
void rms_norm(const T* x, const Accumulator<T>* weight, double eps, T* y,
              Accumulator<T>* inverse_rms, int64_t rows, int64_t columns) {
  using A = Accumulator<T>;
#pragma omp parallel for schedule(static) if (rows * columns > kMinParallelWork)
  for (int64_t r = 0; r < rows; ++r) {
    const T* x_row = x + r * columns;
    T* y_row = y + r * columns;
    Vector<A> squares{};
    for_vectors<A>(columns, [&](int64_t i, auto part) {
      const Vector<A> v = load(x_row + i, part);
      squares = fma(v, v, squares);
    });
    const A inverse =
        A(1) / sqrt_scalar(sum_elements(squares) / static_cast<A>(columns) + static_cast<A>(eps));
    if (inverse_rms) inverse_rms[r] = inverse;
    for_vectors<A>(columns, [&](int64_t i, auto part) {
      store(y_row + i, load(x_row + i, part) * inverse * load(weight + i, part), part);
    });
  }
}

template <class T>
void rms_norm_backward(const T* grad, const T* x, const Accumulator<T>* weight,
                       const Accumulator<T>* inverse_rms, T* grad_x, Accumulator<T>* grad_weight,
                       Accumulator<T>* partial, int64_t num_parts, int64_t rows, int64_t columns) {
  using A = Accumulator<T>;
  const int64_t part_rows = (rows + num_parts - 1) / num_parts;
#pragma omp parallel if (rows * columns > kMinParallelWork)
  {
#pragma omp for schedule(static)
    for (int64_t p = 0; p < num_parts; ++p) {
      A* sums = partial + p * columns;
      if (grad_weight) memset(sums, 0, static_cast<size_t>(columns) * sizeof(A));
      const int64_t end = smaller(rows, (p + 1) * part_rows);
      for (int64_t r = p * part_rows; r < end; ++r) {
        const T* x_row = x + r * columns;
        const T* grad_row = grad + r * columns;
        const A inverse = inverse_rms[r];
        Vector<A> dots{};
        for_vectors<A>(columns, [&](int64_t i, auto part) {
          const Vector<A> g_x = load(grad_row + i, part) * load(x_row + i, part);
          dots = fma(g_x, load(weight + i, part), dots);
          if (grad_weight) store(sums + i, fma(g_x, splat<A>(inverse), load(sums + i, part)), part);
        });
        if (!grad_x) continue;
        const A factor = sum_elements(dots) * inverse * inverse / static_cast<A>(columns);
        for_vectors<A>(columns, [&](int64_t i, auto part) {
          const Vector<A> g_w = load(grad_row + i, part) * load(weight + i, part);
          store(grad_x + r * columns + i, (g_w - load(x_row + i, part) * factor) * inverse, part);
        });
      }
    }
    if (grad_weight) {
#pragma omp for schedule(static)
      for (int64_t block = 0; block < columns; block += kWidth<A>) {
        auto sum = [&](auto part) {
          Vector<A> total{};
          for (int64_t p = 0; p < num_parts; ++p)
            total += load(partial + p * columns + block, part);
          store(grad_weight + block, total, part);
        };
        if (block + kWidth<A> <= columns)
          sum(Full{});
        else
          sum(Part{static_cast<int>(columns - block)});
      }
    }
  }
}

// ---- activation
// ----------------------------------------------------------------------------------------------------------------------

// gelu_tanh(x) = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3): 1 + tanh(u) = 2 sigmoid(2 u),
// without its cancellation.
template <class A>
inline Vector<A> gelu_sigmoid(Vector<A> x) {
  const A c = static_cast<A>(-2 * 0.79788456080286535588),
          c3 = static_cast<A>(-2 * 0.79788456080286535588 * 0.044715);
  return A(1) / (A(1) + exp_vector(x * fma(x * x, splat<A>(c3), splat<A>(c))));
}

// Of gelu_tanh.
template <class A>
inline Vector<A> gelu_slope(Vector<A> x) {
  const A c = static_cast<A>(2 * 0.79788456080286535588),
          c3 = static_cast<A>(6 * 0.79788456080286535588 * 0.044715);
  const Vector<A> s = gelu_sigmoid<A>(x);
  return fma(x * s * (A(1) - s), fma(x * x, splat<A>(c3), splat<A>(c)), s);
}

template <class T>
void gated_gelu(const T* gate, int64_t gate_stride, const T* up, int64_t up_stride, T* y,
                int64_t rows, int64_t columns) {
  using A = Accumulator<T>;
#pragma omp parallel for schedule(static) if (rows * columns > kMinParallelWork)
  for (int64_t r = 0; r < rows; ++r)
    for_vectors<A>(columns, [&](int64_t i, auto part) {
      const Vector<A> x = load(gate + r * gate_stride + i, part);
      store(y + r * columns + i, x * gelu_sigmoid<A>(x) * load(up + r * up_stride + i, part), part);
    });
}

template <class T>
void gated_gelu_backward(const T* grad, const T* gate, int64_t gate_stride, const T* up,
                         int64_t up_stride, T* grad_gate, T* grad_up, int64_t rows,
                         int64_t columns) {
  using A = Accumulator<T>;
  const A c = static_cast<A>(2 * 0.79788456080286535588),
          c3 = static_cast<A>(6 * 0.79788456080286535588 * 0.044715);
#pragma omp parallel for schedule(static) if (rows * columns > kMinParallelWork)
  for (int64_t r = 0; r < rows; ++r)
    for_vectors<A>(columns, [&](int64_t i, auto part) {
      const Vector<A> x = load(gate + r * gate_stride + i, part),
                      g = load(grad + r * columns + i, part);
      const Vector<A> s = gelu_sigmoid<A>(x);
      const Vector<A> slope = fma(x * s * (A(1) - s), fma(x * x, splat<A>(c3), splat<A>(c)), s);
      store(grad_up + r * columns + i, g * x * s, part);
      store(grad_gate + r * columns + i, g * load(up + r * up_stride + i, part) * slope, part);
    });
}

// ---- noise
// ---------------------------------------------------------------------------------------------------------------------------

constexpr uint64_t kGolden = 0x9E3779B97F4A7C15ull;

inline VectorU mix64_vector(VectorU x) {
  x += kGolden;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

// Noise is made for kNoiseBlock elements at a time.
constexpr int kNoiseBlock = 4 * kNumWords * 4;

inline VectorU count_words() {
  VectorU v{};
  for (int i = 0; i < kNumWords; ++i) v[i] = static_cast<uint64_t>(i);
  return v;
}

// 16 bits for each of the elements [begin, begin + kNoiseBlock), begin a multiple of 4.
inline void make_bits(uint64_t state, int64_t begin, uint16_t* bits) {
  VectorU word = state + (count_words() + static_cast<uint64_t>(begin / 4)) * kGolden;
  for (int i = 0; i < 4; ++i) {
    const VectorU mixed = mix64_vector(word);
    memcpy(bits + i * kNumWords * 4, &mixed, sizeof(mixed));
    word += static_cast<uint64_t>(kNumWords) * kGolden;
  }
}

// `scale` where kept, 0 where dropped, for the elements of one block.
template <class A>
inline void make_factors(uint64_t state, int64_t begin, const DropoutRule& rule, A* factors) {
  alignas(64) uint16_t bits[kNoiseBlock];
  make_bits(state, begin, bits);
  const A scale = static_cast<A>(rule.scale);
  const int32_t threshold = static_cast<int32_t>(rule.threshold);
  for (int i = 0; i < kNoiseBlock; ++i)
    factors[i] = static_cast<int32_t>(bits[i]) >= threshold ? scale : A(0);
}

template <class T>
void dropout(const T* x, const T* addend, T* y, const int64_t* token_keys, uint64_t key,
             DropoutRule rule, int64_t rows, int64_t columns) {
  using A = Accumulator<T>;
#pragma omp parallel for schedule(static) if (rows * columns > kMinParallelWork)
  for (int64_t r = 0; r < rows; ++r) {
    const uint64_t state = fold_key(key, static_cast<uint64_t>(token_keys[r]));
    for (int64_t begin = 0; begin < columns; begin += kNoiseBlock) {
      alignas(64) A factors[kNoiseBlock];
      make_factors(state, begin, rule, factors);
      const T* x_block = x + r * columns + begin;
      const T* addend_block = addend ? addend + r * columns + begin : nullptr;
      T* y_block = y + r * columns + begin;
      for_vectors<A>(smaller(kNoiseBlock, columns - begin), [&](int64_t i, auto part) {
        const Vector<A> factor = load_vector(factors + i);
        const Vector<A> kept = factor != A(0) ? load(x_block + i, part) * factor : Vector<A>{};
        store(y_block + i, addend_block ? load(addend_block + i, part) + kept : kept, part);
      });
    }
  }
}

template <class T>
void jitter(const T* x, T* y, const int64_t* token_keys, uint64_t key, double epsilon, int64_t rows,
            int64_t columns) {
  using A = Accumulator<T>;
  const A low = static_cast<A>(1 - epsilon), step = static_cast<A>(2 * epsilon / 65536);
#pragma omp parallel for schedule(static) if (rows * columns > kMinParallelWork)
  for (int64_t r = 0; r < rows; ++r) {
    const uint64_t state = fold_key(key, static_cast<uint64_t>(token_keys[r]));
    for (int64_t begin = 0; begin < columns; begin += kNoiseBlock) {
      alignas(64) uint16_t bits[kNoiseBlock];
      make_bits(state, begin, bits);
      const int64_t count = smaller(kNoiseBlock, columns - begin);
      for (int64_t i = 0; i < count; ++i) {
        const A factor = low + step * (static_cast<A>(bits[i]) + A(0.5));
        narrow(widen(x[r * columns + begin + i]) * factor, y + r * columns + begin + i);
      }
    }
  }
}

// ---- cross-entropy
// -------------------------------------------------------------------------------------------------------------------

template <class T>
inline Accumulator<T> row_logsumexp(const T* row, int64_t columns) {
  using A = Accumulator<T>;
  // four accumulators hide the latency of the maximum and the sum
  constexpr int64_t kStep = 4 * kWidth<A>;
  Vector<A> peaks[4];
  for (auto& peak : peaks) peak = splat<A>(-kInfinity<A>);
  int64_t i = 0;
  for (; i + kStep <= columns; i += kStep)
    for (int j = 0; j < 4; ++j) peaks[j] = larger(peaks[j], load_vector(row + i + j * kWidth<A>));
  for_vectors<A>(columns - i, [&](int64_t k, auto part) {
    peaks[0] = larger(peaks[0], load(row + i + k, part, -kInfinity<A>));
  });
  const A peak = largest_element(larger(larger(peaks[0], peaks[1]), larger(peaks[2], peaks[3])));
  if (peak == -kInfinity<A>) return -kInfinity<A>;
  Vector<A> sums[4] = {};
  for (i = 0; i + kStep <= columns; i += kStep)
    for (int j = 0; j < 4; ++j) sums[j] += exp_vector(load_vector(row + i + j * kWidth<A>) - peak);
  for_vectors<A>(columns - i, [&](int64_t k, auto part) {
    sums[0] += exp_vector(load(row + i + k, part, -kInfinity<A>) - peak);
  });
  return peak + log_scalar(sum_elements((sums[0] + sums[1]) + (sums[2] + sums[3])));
}

template <class T>
inline Accumulator<T> row_mean(const T* row, int64_t columns) {
  using A = Accumulator<T>;
  constexpr int64_t kStep = 4 * kWidth<A>;
  Vector<A> sums[4] = {};
  int64_t i = 0;
  for (; i + kStep <= columns; i += kStep)
    for (int j = 0; j < 4; ++j) sums[j] += load_vector(row + i + j * kWidth<A>);
  for_vectors<A>(columns - i, [&](int64_t k, auto part) { sums[0] += load(row + i + k, part); });
  return sum_elements((sums[0] + sums[1]) + (sums[2] + sums[3])) / static_cast<A>(columns);
}

template <class T>
void cross_entropy(const T* logits, int64_t stride, const int64_t* labels, CrossEntropyRule rule,
                   Accumulator<T>* loss, Accumulator<T>* logsumexp, int64_t rows, int64_t columns) {
  using A = Accumulator<T>;
#pragma omp parallel for schedule(static) if (rows * columns > kMinParallelWork)
  for (int64_t r = 0; r < rows; ++r) {
    if (labels[r] < 0) {
      loss[r] = 0;
      if (logsumexp) logsumexp[r] = 0;
      continue;
    }
    const A lse = row_logsumexp(logits + r * stride, columns);
    if (logsumexp) logsumexp[r] = lse;
    loss[r] = lse - widen(logits[r * stride + labels[r]]);
    if (rule.label_smoothing != 0) {
      const A smoothing = static_cast<A>(rule.label_smoothing);
      loss[r] =
          (A(1) - smoothing) * loss[r] + smoothing * (lse - row_mean(logits + r * stride, columns));
    }
    if (rule.z_coefficient != 0) loss[r] += static_cast<A>(rule.z_coefficient) * lse * lse;
  }
}

template <class T>
void cross_entropy_backward(const Accumulator<T>* grad, const T* logits, int64_t stride,
                            const int64_t* labels, const Accumulator<T>* logsumexp,
                            CrossEntropyRule rule, T* grad_logits, int64_t rows, int64_t columns) {
  using A = Accumulator<T>;
  const A smoothing = static_cast<A>(rule.label_smoothing),
          even = smoothing / static_cast<A>(columns);
#pragma omp parallel for schedule(static) if (rows * columns > kMinParallelWork)
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = logits + r * stride;
    T* out = grad_logits + r * columns;
    if (labels[r] < 0) {
      memset(static_cast<void*>(out), 0, static_cast<size_t>(columns) * sizeof(T));
      continue;
    }
    const A lse = logsumexp[r];
    const A factor = grad[r] * (A(1) + 2 * static_cast<A>(rule.z_coefficient) * lse),
            spread = grad[r] * even;
    const Vector<A> label = exp_vector(splat<A>(widen(row[labels[r]]) - lse));
    for_vectors<A>(columns, [&](int64_t i, auto part) {
      store(out + i, exp_vector(load(row + i, part) - lse) * factor - spread, part);
    });
    // the label's element anew, not by subtracting from what was rounded
    narrow(label[0] * factor - spread - grad[r] * (A(1) - smoothing), out + labels[r]);
  }
}

// ---- rows of assignments
// -------------------------------------------------------------------------------------------------------------

template <class T>
void gather_rows(const T* x, const int64_t* index, const Accumulator<T>* weight, T* out,
                 int64_t rows, int64_t columns) {
  using A = Accumulator<T>;
#pragma omp parallel for schedule(static) if (rows * columns > kMinParallelWork)
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = x + index[r] * columns;
    if (!weight) {
      memcpy(static_cast<void*>(out + r * columns), row, static_cast<size_t>(columns) * sizeof(T));
      continue;
    }
    const A w = weight[r];
    for_vectors<A>(columns, [&](int64_t i, auto part) {
      store(out + r * columns + i, load(row + i, part) * w, part);
    });
  }
}

template <class T>
void sum_rows(const T* x, const int64_t* offsets, const int64_t* order,
              const Accumulator<T>* weight, T* out, int64_t rows, int64_t columns) {
  using A = Accumulator<T>;
#pragma omp parallel for schedule(static) if (rows * columns > kMinParallelWork)
  for (int64_t r = 0; r < rows; ++r)
    for_vectors<A>(columns, [&](int64_t i, auto part) {
      Vector<A> sum{};
      for (int64_t p = offsets[r]; p < offsets[r + 1]; ++p) {
        const Vector<A> v = load(x + order[p] * columns + i, part);
        sum = weight ? fma(v, splat<A>(weight[order[p]]), sum) : sum + v;
      }
      store(out + r * columns + i, sum, part);
    });
}

template <class T>
void dot_rows(const T* x, const T* y, const int64_t* index, Accumulator<T>* out, int64_t rows,
              int64_t columns) {
#pragma omp parallel for schedule(static) if (rows * columns > kMinParallelWork)
  for (int64_t r = 0; r < rows; ++r) out[r] = dot(x + r * columns, y + index[r] * columns, columns);
}
