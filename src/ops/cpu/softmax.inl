// Part of kernels.inl: masked softmax of attention scores, with bias and dropout, and its backward.

template <class A>
inline int64_t num_seen(const AttentionTile<A>& tile, int64_t row) {
  if (!tile.is_causal) return tile.num_keys;
  const int64_t n = tile.num_visible + row;
  return n < 0 ? 0 : smaller(n, tile.num_keys);
}

template <class A>
inline uint64_t dropout_state(const AttentionTile<A>& tile, int64_t row) {
  return fold_key(fold_key(tile.dropout_key, static_cast<uint64_t>(tile.head)),
                  static_cast<uint64_t>(tile.token_keys[row]));
}

template <class T>
void attention_softmax(const AttentionTile<Accumulator<T>>& tile, Accumulator<T>* weights,
                       Accumulator<T>* inverse_sum, Accumulator<T>* logsumexp) {
  using A = Accumulator<T>;
  const bool makes_words = weights != tile.scores;
  const int64_t weight_stride = makes_words ? num_words<T>(tile.num_keys) : tile.num_keys;
  for (int64_t r = 0; r < tile.num_rows; ++r) {
    A* row = tile.scores + r * tile.num_keys;
    A* weight_row = weights + r * weight_stride;
    const int64_t seen = num_seen(tile, r);
    const A* bias = tile.bias ? tile.bias + r * tile.bias_stride : nullptr;
    auto keep = [&](int64_t i, Vector<A> v, auto part) {
      if (makes_words)
        store_words<T>(weight_row, i, v, part);
      else
        store(weight_row + i, v, part);
    };
    Vector<A> peaks = splat<A>(-kInfinity<A>);
    if (bias || tile.key_mask) {
      for_vectors<A>(seen, [&](int64_t i, auto part) {
        Vector<A> v = load(row + i, part, -kInfinity<A>);
        if (bias) v += load(bias + i, part);
        if (tile.key_mask) v += load(tile.key_mask + i, part);
        store(row + i, v, part);
        peaks = larger(peaks, v);
      });
    } else {
      for_vectors<A>(seen, [&](int64_t i, auto part) {
        peaks = larger(peaks, load(row + i, part, -kInfinity<A>));
      });
    }
    const A peak = largest_element(peaks);
    const int64_t end = peak == -kInfinity<A> ? 0 : seen;
    if (makes_words && weight_stride > 0)
      weight_row[weight_stride - 1] = 0;  // the second half of an odd end
    if (end == 0) {
      if (logsumexp) logsumexp[r] = kInfinity<A>;
      inverse_sum[r] = 0;
    } else {
      Vector<A> sums{};
      if (tile.token_keys) {
        for (int64_t begin = 0; begin < end; begin += kNoiseBlock) {
          alignas(64) A factors[kNoiseBlock];
          make_factors(dropout_state(tile, r), begin, tile.dropout, factors);
          for_vectors<A>(smaller(kNoiseBlock, end - begin), [&](int64_t i, auto part) {
            const Vector<A> e = exp_vector(load(row + begin + i, part, -kInfinity<A>) - peak);
            sums += e;
            keep(begin + i, e * load_vector(factors + i), part);
          });
        }
      } else {
        for_vectors<A>(end, [&](int64_t i, auto part) {
          const Vector<A> e = exp_vector(load(row + i, part, -kInfinity<A>) - peak);
          sums += e;
          keep(i, e, part);
        });
      }
      const A sum = sum_elements(sums);
      if (logsumexp) logsumexp[r] = peak + log_scalar(sum);
      inverse_sum[r] = A(1) / sum;
    }
    if (end < tile.num_keys) {
      if (makes_words && kPair<T> == 2)
        memset(reinterpret_cast<Bf16*>(weight_row) + end, 0,
               static_cast<size_t>(tile.num_keys - end) * 2);
      else
        memset(weight_row + end, 0, static_cast<size_t>(tile.num_keys - end) * sizeof(A));
    }
  }
}

template <class T>
void attention_softmax_backward(const AttentionTile<Accumulator<T>>& tile,
                                const Accumulator<T>* logsumexp, const Accumulator<T>* delta,
                                Accumulator<T>* grad, Accumulator<T>* grad_bias,
                                int64_t grad_bias_stride) {
  using A = Accumulator<T>;
  for (int64_t r = 0; r < tile.num_rows; ++r) {
    A* row = tile.scores + r * tile.num_keys;
    A* grad_row = grad + r * tile.num_keys;
    const bool is_blind = logsumexp[r] == kInfinity<A>;
    const int64_t seen = is_blind ? 0 : num_seen(tile, r);
    const A* bias = tile.bias ? tile.bias + r * tile.bias_stride : nullptr;
    A* bias_sum = grad_bias ? grad_bias + r * grad_bias_stride : nullptr;
    const A lse = logsumexp[r], d = delta[r];
    auto step = [&](int64_t i, auto part, Vector<A> factor) {
      Vector<A> v = load(row + i, part, -kInfinity<A>);
      if (bias) v += load(bias + i, part);
      if (tile.key_mask) v += load(tile.key_mask + i, part);
      const Vector<A> p = exp_vector(v - lse);
      const Vector<A> g = p * (load(grad_row + i, part) * factor - d);
      store(row + i, p * factor, part);
      store(grad_row + i, g, part);
      if (bias_sum) store(bias_sum + i, load(bias_sum + i, part) + g, part);
    };
    if (tile.token_keys) {
      for (int64_t begin = 0; begin < seen; begin += kNoiseBlock) {
        alignas(64) A factors[kNoiseBlock];
        make_factors(dropout_state(tile, r), begin, tile.dropout, factors);
        for_vectors<A>(smaller(kNoiseBlock, seen - begin), [&](int64_t i, auto part) {
          step(begin + i, part, load_vector(factors + i));
        });
      }
    } else {
      for_vectors<A>(seen, [&](int64_t i, auto part) { step(i, part, splat<A>(1)); });
    }
    if (seen < tile.num_keys) {
      memset(row + seen, 0, static_cast<size_t>(tile.num_keys - seen) * sizeof(A));
      memset(grad_row + seen, 0, static_cast<size_t>(tile.num_keys - seen) * sizeof(A));
    }
  }
}
