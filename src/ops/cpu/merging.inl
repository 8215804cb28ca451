// Part of kernels.inl: MergingKernels.

// Rows of accumulators.
template <class A>
struct AccumulatorRows {
  const A* data;
  int64_t stride;
};

// Columns that are worked on at a time. Whole rows of most models: parts of rows that lie a power
// of two apart push each other out of the cache.
constexpr int64_t kMergingColumns = 2048;

template <class T>
int64_t merging_scratch_size(const MergingTile<T>& t) {
  const int64_t columns =
      smaller(kMergingColumns, t.width > t.input_width ? t.width : t.input_width);
  return t.rows * (3 * columns + 3 * t.num_experts);
}

// body(first column, their number).
template <class Body>
inline void for_column_blocks(int64_t columns, Body body) {
  for (int64_t column = 0; column < columns; column += kMergingColumns)
    body(column, smaller(kMergingColumns, columns - column));
}

// Some columns of the router's input as accumulators, in `scratch` unless they can be used where
// they are.
template <class T, class A = Accumulator<T>>
inline AccumulatorRows<A> widen_input(const MergingTile<T>& t, int64_t column, int64_t count,
                                      A* scratch) {
  if constexpr (sizeof(T) == sizeof(A))
    if (!t.applies_gelu) return {t.input + column, t.input_stride};
  for (int64_t r = 0; r < t.rows; ++r)
    for_vectors<A>(count, [&](int64_t i, auto part) {
      const Vector<A> x = load(t.input + r * t.input_stride + column + i, part);
      store(scratch + r * count + i, t.applies_gelu ? x * gelu_sigmoid<A>(x) : x, part);
    });
  return {scratch, count};
}

template <class A>
inline void softmax_row(A* row, int64_t count) {
  A largest = -kInfinity<A>;
  for (int64_t e = 0; e < count; ++e) largest = row[e] > largest ? row[e] : largest;
  Vector<A> sums{};
  for_vectors<A>(count, [&](int64_t i, auto part) {
    // past the end e^-inf
    const Vector<A> v = exp_vector(load(row + i, part, -kInfinity<A>) - largest);
    sums += v;
    store(row + i, v, part);
  });
  const A inverse = A(1) / sum_elements(sums);
  for (int64_t e = 0; e < count; ++e) row[e] *= inverse;
}

// The k largest of a row, others 0; of equal ones the first.
template <class A>
inline void keep_largest(const A* row, int64_t count, int64_t k, A* kept) {
  for (int64_t e = 0; e < count; ++e) {
    int64_t rank = 0;
    for (int64_t other = 0; other < count; ++other)
      rank += row[other] > row[e] || (row[other] == row[e] && other < e) ? 1 : 0;
    kept[e] = rank < k ? row[e] : A(0);
  }
}

// c [rows, width] = weights [rows, experts] matrix [experts, width], or + c.
template <class A>
inline void mix_rows(const A* weights, int64_t weights_stride, const A* matrix,
                     int64_t matrix_stride, A* c, int64_t c_stride, int64_t rows, int64_t experts,
                     int64_t width, bool adds) {
  MatrixProduct<A> product;
  product.rows = rows;
  product.columns = width;
  product.inner = experts;
  product.a = weights;
  product.a_row = weights_stride;
  product.b = matrix;
  product.b_stride = matrix_stride;
  product.c = c;
  product.c_stride = c_stride;
  product.adds = adds;
  multiply<A>(product);
}

// c [experts, width] += weights^T [experts, rows] x [rows, width].
template <class A>
inline void add_outer(const A* weights, int64_t weights_stride, const A* x, int64_t x_stride, A* c,
                      int64_t c_stride, int64_t rows, int64_t experts, int64_t width) {
  MatrixProduct<A> product;
  product.rows = experts;
  product.columns = width;
  product.inner = rows;
  product.a = weights;
  product.a_row = 1;
  product.a_column = weights_stride;
  product.b = x;
  product.b_stride = x_stride;
  product.c = c;
  product.c_stride = c_stride;
  product.adds = true;
  multiply<A>(product);
}

// All weights [rows, experts] into `full`, those that are kept into `kept` (which may be `full` if
// all are). Returns the last columns of the input as accumulators.
template <class T, class A = Accumulator<T>>
inline AccumulatorRows<A> compute_weights(const MergingTile<T>& t, A* full, A* kept, A* scratch) {
  const int64_t experts = t.num_experts;
  AccumulatorRows<A> input{};
  for_column_blocks(t.input_width, [&](int64_t column, int64_t count) {
    input = widen_input(t, column, count, scratch);
    if (t.kernel_by_input) {
      mix_rows(input.data, input.stride, t.kernel_by_input + column * experts, experts, full,
               experts, t.rows, count, experts, column > 0);
      return;
    }
    for (int64_t r = 0; r < t.rows; ++r)
      for (int64_t e = 0; e < experts; ++e) {
        const A product =
            dot(input.data + r * input.stride, t.kernel + e * t.input_width + column, count);
        full[r * experts + e] = column > 0 ? full[r * experts + e] + product : product;
      }
  });
  for (int64_t r = 0; r < t.rows; ++r) {
    softmax_row(full + r * experts, experts);
    if (t.top_k > 0) keep_largest(full + r * experts, experts, t.top_k, kept + r * experts);
  }
  return input;
}

template <class A>
inline A find_mass(bool has_mass, const A* weights, int64_t experts) {
  if (!has_mass) return A(1);
  A mass = 0;
  for (int64_t e = 0; e < experts; ++e) mass += weights[e];
  return mass;
}

template <class T>
void merge(const MergingTile<T>& t, Accumulator<T>* scratch) {
  using A = Accumulator<T>;
  const int64_t experts = t.num_experts;
  A* const full = scratch;
  A* const own = full + t.rows * experts;
  A* const changes = own + t.rows * experts;
  const A* weights = t.weights;
  int64_t weights_stride = t.weights_stride;
  if (t.input) {
    A* const kept = t.top_k > 0 ? own : full;
    compute_weights(t, full, kept, changes);
    if (t.weights)
      for (int64_t r = 0; r < t.rows; ++r)
        memcpy(static_cast<void*>(t.weights + r * t.weights_stride), kept + r * experts,
               static_cast<size_t>(experts) * sizeof(A));
    weights = kept;
    weights_stride = experts;
  }
  if (!t.values) return;
  for_column_blocks(t.width, [&](int64_t column, int64_t count) {
    if (t.offsets)
      mix_rows(weights, weights_stride, t.offsets + column, t.vectors_stride, changes, count,
               t.rows, experts, count, false);
    for (int64_t r = 0; r < t.rows; ++r) {
      const A* row = weights + r * weights_stride;
      const A mass = find_mass(t.has_mass, row, experts);
      for_vectors<A>(count, [&](int64_t i, auto part) {
        Vector<A> change{};
        if (t.offsets)
          change = load(changes + r * count + i, part);
        else
          for (int64_t e = 0; e < experts; ++e)
            change = fma(splat<A>(row[e]),
                         load(t.vectors + e * t.vectors_stride + column + i, part) - A(1), change);
        store(t.output + r * t.output_stride + column + i,
              load(t.values + r * t.values_stride + column + i, part) * (change + mass), part);
      });
    }
  });
}

// Gradient of the kept weights -> of the logits, in place.
template <class A>
inline void softmax_backward_row(const A* full, const A* kept, bool is_cut, A* grad,
                                 int64_t count) {
  A mean = 0;
  for (int64_t e = 0; e < count; ++e) {
    if (is_cut && kept[e] == 0) grad[e] = 0;
    mean += full[e] * grad[e];
  }
  for (int64_t e = 0; e < count; ++e) grad[e] = full[e] * (grad[e] - mean);
}

template <class T>
void merge_backward(const MergingTile<T>& t, const MergingGradients<T>& g,
                    Accumulator<T>* scratch) {
  using A = Accumulator<T>;
  const int64_t experts = t.num_experts;
  const bool routes_values = t.input && t.input == t.values;
  A* const full = scratch;
  A* const own = full + t.rows * experts;
  A* const grad_weights = own + t.rows * experts;
  A* const first = grad_weights + t.rows * experts;  // [rows, some columns]
  const int64_t columns =
      smaller(kMergingColumns, t.width > t.input_width ? t.width : t.input_width);
  A* const second = first + t.rows * columns;
  A* const widened = second + t.rows * columns;
  AccumulatorRows<A> whole_input{};
  const A* weights = t.weights;
  int64_t weights_stride = t.weights_stride;
  if (t.input && t.has_weights) {
    if (g.grad_kernel && columns >= t.input_width)
      whole_input = widen_input(t, 0, t.input_width, widened);
    for (int64_t r = 0; r < t.rows; ++r)
      memcpy(static_cast<void*>(full + r * experts), t.weights + r * t.weights_stride,
             static_cast<size_t>(experts) * sizeof(A));
    weights = full;
    weights_stride = experts;
  } else if (t.input) {
    A* const kept = t.top_k > 0 ? own : full;
    whole_input = compute_weights(t, full, kept, widened);
    weights = kept;
    weights_stride = experts;
  }
  // Into `second`: the gradient of the output times the factors, which is that of the values.
  const auto scale_gradient = [&](int64_t column, int64_t count) {
    mix_rows(weights, weights_stride, t.offsets + column, t.vectors_stride, second, count, t.rows,
             experts, count, false);
    for (int64_t r = 0; r < t.rows; ++r) {
      const A mass = find_mass(t.has_mass, weights + r * weights_stride, experts);
      for_vectors<A>(count, [&](int64_t i, auto part) {
        store(second + r * count + i,
              load(g.grad + r * g.grad_stride + column + i, part) *
                  (load(second + r * count + i, part) + mass),
              part);
      });
    }
  };
  const auto store_second = [&](T* out, int64_t stride, int64_t column, int64_t count) {
    for (int64_t r = 0; r < t.rows; ++r)
      for_vectors<A>(count, [&](int64_t i, auto part) {
        store(out + r * stride + column + i, load(second + r * count + i, part), part);
      });
  };
  if (t.values) {
    memset(static_cast<void*>(grad_weights), 0, static_cast<size_t>(t.rows * experts) * sizeof(A));
    for_column_blocks(t.width, [&](int64_t column, int64_t count) {
      for (int64_t r = 0; r < t.rows; ++r) {
        Vector<A> sums{};
        for_vectors<A>(count, [&](int64_t i, auto part) {
          const Vector<A> product = load(g.grad + r * g.grad_stride + column + i, part) *
                                    load(t.values + r * t.values_stride + column + i, part);
          sums += product;
          store(first + r * count + i, product, part);
        });
        if (!t.has_mass) continue;
        const A of_mass = sum_elements(sums);
        for (int64_t e = 0; e < experts; ++e) grad_weights[r * experts + e] += of_mass;
      }
      if (t.input || g.grad_weights)
        mix_rows(first, count, g.offsets_by_value + column * experts, experts, grad_weights,
                 experts, t.rows, count, experts, true);
      if (g.grad_vectors)
        add_outer(weights, weights_stride, first, count, g.grad_vectors + column, t.vectors_stride,
                  t.rows, experts, count);
      if (g.grad_values && !routes_values) {
        scale_gradient(column, count);
        store_second(g.grad_values, g.grad_values_stride, column, count);
      }
    });
  } else {
    for (int64_t r = 0; r < t.rows; ++r)
      memcpy(static_cast<void*>(grad_weights + r * experts),
             g.grad_weights + r * g.grad_weights_stride, static_cast<size_t>(experts) * sizeof(A));
  }
  if (!t.input) {
    if (g.grad_weights)
      for (int64_t r = 0; r < t.rows; ++r)
        memcpy(static_cast<void*>(g.grad_weights + r * g.grad_weights_stride),
               grad_weights + r * experts, static_cast<size_t>(experts) * sizeof(A));
    return;
  }
  for (int64_t r = 0; r < t.rows; ++r)
    softmax_backward_row(full + r * experts, weights + r * experts, t.top_k > 0,
                         grad_weights + r * experts, experts);
  for_column_blocks(t.input_width, [&](int64_t column, int64_t count) {
    if (g.grad_kernel) {
      const AccumulatorRows<A> input =
          count == t.input_width ? whole_input : widen_input(t, column, count, widened);
      add_outer(grad_weights, experts, input.data, input.stride, g.grad_kernel + column,
                t.input_width, t.rows, experts, count);
    }
    if (routes_values && g.grad_values) {
      scale_gradient(column, count);
      mix_rows(grad_weights, experts, t.kernel + column, t.input_width, second, count, t.rows,
               experts, count, true);
      store_second(g.grad_values, g.grad_values_stride, column, count);
    }
    if (!routes_values && g.grad_input) {
      mix_rows(grad_weights, experts, t.kernel + column, t.input_width, second, count, t.rows,
               experts, count, false);
      if (t.applies_gelu)
        for (int64_t r = 0; r < t.rows; ++r)
          for_vectors<A>(count, [&](int64_t i, auto part) {
            const Vector<A> x = load(t.input + r * t.input_stride + column + i, part);
            store(second + r * count + i, load(second + r * count + i, part) * gelu_slope<A>(x),
                  part);
          });
      store_second(g.grad_input, g.grad_input_stride, column, count);
    }
  });
}

template <class T>
void scale_groups(const T* x, const Accumulator<T>* weights, Accumulator<T> scale, T* out,
                  int64_t rows, int64_t num_groups, int64_t size) {
  for (int64_t g = 0; g < rows * num_groups; ++g) {
    const Accumulator<T> factor = weights[g] * scale;
    for (int64_t i = g * size; i < (g + 1) * size; ++i) narrow(widen(x[i]) * factor, out + i);
  }
}

template <class T>
void scale_groups_backward(const T* grad, const T* x, const Accumulator<T>* weights,
                           Accumulator<T> scale, T* grad_x, Accumulator<T>* grad_weights,
                           int64_t rows, int64_t num_groups, int64_t size) {
  for (int64_t g = 0; g < rows * num_groups; ++g) {
    const Accumulator<T> factor = weights[g] * scale;
    Accumulator<T> sum = 0;
    for (int64_t i = g * size; i < (g + 1) * size; ++i) {
      sum += widen(grad[i]) * widen(x[i]);
      narrow(widen(grad[i]) * factor, grad_x + i);
    }
    if (grad_weights) grad_weights[g] = sum * scale;
  }
}
