// Part of kernels.inl: MergingKernels.

// Rows of accumulators.
template <class A>
struct AccumulatorRows {
  const A* data;
  int64_t stride;
};

template <class T>
int64_t merging_scratch_size(const MergingTile<T>& t) {
  return t.rows * (2 * t.input_width + 2 * t.width + 4 * t.num_experts);
}

// The router's input as accumulators, in `scratch` unless it can be used where it is.
template <class T, class A = Accumulator<T>>
inline AccumulatorRows<A> widen_input(const MergingTile<T>& t, A* scratch) {
  if constexpr (sizeof(T) == sizeof(A))
    if (!t.applies_gelu) return {t.input, t.input_stride};
  for (int64_t r = 0; r < t.rows; ++r)
    for_vectors<A>(t.input_width, [&](int64_t i, auto part) {
      const Vector<A> x = load(t.input + r * t.input_stride + i, part);
      store(scratch + r * t.input_width + i, t.applies_gelu ? x * gelu_sigmoid<A>(x) : x, part);
    });
  return {scratch, t.input_width};
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

// All weights [rows, experts] into `full`, those that are kept into `kept` (which may be `full` if
// all are).
template <class T, class A = Accumulator<T>>
inline void compute_weights(const MergingTile<T>& t, AccumulatorRows<A> input, A* full, A* kept) {
  const int64_t experts = t.num_experts;
  if (t.kernel_by_input) {
    MatrixProduct<A> product;
    product.rows = t.rows;
    product.columns = experts;
    product.inner = t.input_width;
    product.a = input.data;
    product.a_row = input.stride;
    product.b = t.kernel_by_input;
    product.b_stride = experts;
    product.c = full;
    product.c_stride = experts;
    multiply<A>(product);
  } else {
    for (int64_t r = 0; r < t.rows; ++r)
      for (int64_t e = 0; e < experts; ++e)
        full[r * experts + e] =
            dot(input.data + r * input.stride, t.kernel + e * t.input_width, t.input_width);
  }
  for (int64_t r = 0; r < t.rows; ++r) {
    softmax_row(full + r * experts, experts);
    if (t.top_k > 0) keep_largest(full + r * experts, experts, t.top_k, kept + r * experts);
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
  A* const rows = own + t.rows * experts;
  const A* weights = t.weights;
  int64_t weights_stride = t.weights_stride;
  if (t.input) {
    A* const kept = t.top_k > 0 ? own : full;
    compute_weights(t, widen_input(t, rows), full, kept);
    if (t.weights)
      for (int64_t r = 0; r < t.rows; ++r)
        memcpy(static_cast<void*>(t.weights + r * t.weights_stride), kept + r * experts,
               static_cast<size_t>(experts) * sizeof(A));
    weights = kept;
    weights_stride = experts;
  }
  if (!t.values) return;
  if (t.offsets)
    mix_rows(weights, weights_stride, t.offsets, t.vectors_stride, rows, t.width, t.rows, experts,
             t.width, false);
  for (int64_t r = 0; r < t.rows; ++r) {
    const A* row = weights + r * weights_stride;
    const A mass = find_mass(t.has_mass, row, experts);
    for_vectors<A>(t.width, [&](int64_t i, auto part) {
      Vector<A> change{};
      if (t.offsets)
        change = load(rows + r * t.width + i, part);
      else
        for (int64_t e = 0; e < experts; ++e)
          change = fma(splat<A>(row[e]), load(t.vectors + e * t.vectors_stride + i, part) - A(1),
                       change);
      store(t.output + r * t.output_stride + i,
            load(t.values + r * t.values_stride + i, part) * (change + mass), part);
    });
  }
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
  A* const grad_values = grad_weights + t.rows * experts;
  A* const products = grad_values + t.rows * t.width;  // gradient of the factors
  A* const widened = products + t.rows * t.width;
  A* const grad_input = widened + t.rows * t.input_width;
  const A* weights = t.weights;
  int64_t weights_stride = t.weights_stride;
  AccumulatorRows<A> input{};
  if (t.input) {
    input = widen_input(t, widened);
    A* const kept = t.top_k > 0 ? own : full;
    compute_weights(t, input, full, kept);
    weights = kept;
    weights_stride = experts;
  }
  if (t.values) {
    if (g.grad_values)
      mix_rows(weights, weights_stride, t.offsets, t.vectors_stride, grad_values, t.width, t.rows,
               experts, t.width, false);
    for (int64_t r = 0; r < t.rows; ++r) {
      const A mass = find_mass(t.has_mass, weights + r * weights_stride, experts);
      Vector<A> sums{};
      for_vectors<A>(t.width, [&](int64_t i, auto part) {
        const Vector<A> grad = load(g.grad + r * g.grad_stride + i, part);
        const Vector<A> product = grad * load(t.values + r * t.values_stride + i, part);
        sums += product;
        store(products + r * t.width + i, product, part);
        A* const factor = grad_values + r * t.width + i;
        if (g.grad_values) store(factor, grad * (load(factor, part) + mass), part);
      });
      const A of_mass = t.has_mass ? sum_elements(sums) : A(0);
      for (int64_t e = 0; e < experts; ++e) grad_weights[r * experts + e] = of_mass;
    }
    mix_rows(products, t.width, g.offsets_by_value, experts, grad_weights, experts, t.rows, t.width,
             experts, true);
    if (g.grad_vectors)
      add_outer(weights, weights_stride, products, t.width, g.grad_vectors, t.vectors_stride,
                t.rows, experts, t.width);
  } else {
    for (int64_t r = 0; r < t.rows; ++r)
      memcpy(static_cast<void*>(grad_weights + r * experts),
             g.grad_weights + r * g.grad_weights_stride, static_cast<size_t>(experts) * sizeof(A));
  }
  if (!t.input && g.grad_weights)
    for (int64_t r = 0; r < t.rows; ++r)
      memcpy(static_cast<void*>(g.grad_weights + r * g.grad_weights_stride),
             grad_weights + r * experts, static_cast<size_t>(experts) * sizeof(A));
  if (t.input) {
    for (int64_t r = 0; r < t.rows; ++r)
      softmax_backward_row(full + r * experts, weights + r * experts, t.top_k > 0,
                           grad_weights + r * experts, experts);
    if (g.grad_kernel)
      add_outer(grad_weights, experts, input.data, input.stride, g.grad_kernel, t.input_width,
                t.rows, experts, t.input_width);
    if (routes_values && g.grad_values)
      mix_rows(grad_weights, experts, t.kernel, t.input_width, grad_values, t.width, t.rows,
               experts, t.width, true);
    if (!routes_values && g.grad_input) {
      mix_rows(grad_weights, experts, t.kernel, t.input_width, grad_input, t.input_width, t.rows,
               experts, t.input_width, false);
      for (int64_t r = 0; r < t.rows; ++r)
        for_vectors<A>(t.input_width, [&](int64_t i, auto part) {
          Vector<A> grad = load(grad_input + r * t.input_width + i, part);
          if (t.applies_gelu)
            grad = grad * gelu_slope<A>(load(t.input + r * t.input_stride + i, part));
          store(g.grad_input + r * g.grad_input_stride + i, grad, part);
        });
    }
  }
  if (t.values && g.grad_values)
    for (int64_t r = 0; r < t.rows; ++r)
      for_vectors<A>(t.width, [&](int64_t i, auto part) {
        store(g.grad_values + r * g.grad_values_stride + i,
              load(grad_values + r * t.width + i, part), part);
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
