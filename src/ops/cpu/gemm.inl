// Part of kernels.inl: a product of any size, by packing parts of its operands for multiply().

// Inner elements and rows that are packed at a time.
template <class T>
constexpr int64_t kGemmInner = 1024 * kPair<T>;
constexpr int64_t kGemmRows = 96;

// Rows whose sums are kept in scratch: none where they are kept in c itself, those that are packed
// at a time where they are complete after them, else all.
template <class T>
int64_t num_sum_rows(const Gemm<T>& g) {
  if (sizeof(T) == sizeof(Accumulator<T>)) return 0;
  return g.inner <= kGemmInner<T> ? smaller(kGemmRows, g.rows) : g.rows;
}

// In accumulators: the packed right operand, the packed rows of the left one, the sums.
template <class T>
int64_t gemm_scratch_size(const Gemm<T>& g) {
  const int64_t words = num_words<T>(smaller(kGemmInner<T>, g.inner));
  return words * (g.columns + smaller(kGemmRows, g.rows)) + num_sum_rows(g) * g.columns;
}

// Where multiply() finds its left operand.
template <class A>
struct Words {
  const A* data;
  int64_t row, column;
};

template <class T>
Words<Accumulator<T>> pack_left(const Gemm<T>& g, int64_t row, int64_t num_rows, int64_t inner,
                                int64_t count, Accumulator<T>* packed) {
  using A = Accumulator<T>;
  const int64_t words = num_words<T>(count);
  if (g.a_is_transposed) {
    pack_pairs(g.a + inner * g.a_stride + row, g.a_stride, packed, count, num_rows);
    return {packed, 1, num_rows};
  }
  const T* a = g.a + row * g.a_stride + inner;
  if constexpr (sizeof(T) == sizeof(A)) {
    return {a, g.a_stride, 1};
  } else {
    // pairs of a row lie in memory as the words do
    if (kPair<T> == 2 && count % 2 == 0 && g.a_stride % 2 == 0)
      return {reinterpret_cast<const A*>(a), g.a_stride / 2, 1};
    pack_rows(a, g.a_stride, packed, num_rows, count);
    return {packed, words, 1};
  }
}

// The whole right operand of `count` inner elements, panel after panel of kGemmPanel columns.
template <class T>
void pack_right(const Gemm<T>& g, int64_t inner, int64_t count, Accumulator<T>* packed) {
  const int64_t words = num_words<T>(count);
  for (int64_t column = 0; column < g.columns; column += kGemmPanel) {
    const int64_t width = smaller(kGemmPanel, g.columns - column);
    Accumulator<T>* panel = packed + words * column;
    if (g.b_is_transposed)
      pack_transposed(g.b + column * g.b_stride + inner, g.b_stride, panel, width, count);
    else
      pack_pairs(g.b + inner * g.b_stride + column, g.b_stride, panel, count, width);
  }
}

template <class T>
void gemm(const Gemm<T>& g, Accumulator<T>* scratch) {
  using A = Accumulator<T>;
  constexpr bool is_direct = sizeof(T) == sizeof(A);  // sums are kept in c itself
  const bool is_one_pass = g.inner <= kGemmInner<T>;
  A* const sums = scratch;
  A* const right = scratch + num_sum_rows(g) * g.columns;
  const auto store_sums = [&](int64_t row, int64_t num_rows) {
    for (int64_t r = 0; r < num_rows; ++r)
      for_vectors<A>(g.columns, [&](int64_t i, auto part) {
        store(g.c + (row + r) * g.c_stride + i, load(sums + r * g.columns + i, part), part);
      });
  };
  A* const left_scratch = right + num_words<T>(smaller(kGemmInner<T>, g.inner)) * g.columns;
  int64_t inner = 0;
  do {
    const int64_t count = smaller(kGemmInner<T>, g.inner - inner), words = num_words<T>(count);
    pack_right(g, inner, count, right);
    for (int64_t row = 0; row < g.rows; row += kGemmRows) {
      const int64_t num_rows = smaller(kGemmRows, g.rows - row);
      const Words<A> left = pack_left(g, row, num_rows, inner, count, left_scratch);
      for (int64_t column = 0; column < g.columns; column += kGemmPanel) {
        MatrixProduct<A> product;
        product.rows = num_rows;
        product.columns = smaller(kGemmPanel, g.columns - column);
        product.a_row = left.row;
        product.a_column = left.column;
        product.b_stride = product.columns;
        if constexpr (is_direct) {
          product.c = g.c + row * g.c_stride + column;
          product.c_stride = g.c_stride;
        } else {
          product.c = sums + (is_one_pass ? 0 : row * g.columns) + column;
          product.c_stride = g.columns;
        }
        product.inner = words;
        product.a = left.data;
        product.b = right + words * column;
        product.adds = inner > 0;
        multiply<T>(product);
      }
      if constexpr (!is_direct)
        if (is_one_pass) store_sums(row, num_rows);
    }
    inner += kGemmInner<T>;
  } while (inner < g.inner);
  if constexpr (!is_direct)
    if (!is_one_pass) store_sums(0, g.rows);
}
