// Attention, one head of one row at a time: products, mask, bias, softmax and dropout of a tile of
// queries stay in cache, and nothing of size [queries, keys] is kept. The backward makes the
// probabilities anew from logsumexp.
//
// A row is cut into runs of queries with one segment id; a run only meets the stretch of keys from
// the first to the last with its id, so packed rows cost what their examples would cost alone, and
// give the same bytes.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <limits>

#include "ops/autograd.h"
#include "ops/cuda/ops_cuda.h"
#include "ops/noise.h"
#include "ops/tensors.h"
#include "ops/transformer.h"

namespace flanmoe::ops {

namespace {

constexpr int64_t kTileRows = 96;
constexpr int64_t kFewRows = 4;  // so few queries are multiplied with the keys as they lie

struct Run {
  int64_t query_begin, query_end;
  int64_t key_begin, key_end;
  bool is_mixed;  // other ids stand among the keys
};

struct Shape {
  int64_t rows, queries, keys, heads, width;
};

struct Problem {
  Shape shape;
  at::Tensor q, k, v;  // [B, L, H, d], last dim contiguous
  at::Tensor bias;     // [H, Q, K] contiguous, accumulator type, or undefined
  at::Tensor query_ids, key_ids;
  bool is_causal;
  int64_t query_offset;
  DropoutRule dropout;
  uint64_t dropout_key = 0;
  at::Tensor token_keys;  // undefined: no dropout
};

std::vector<Run> find_runs(const Problem& p, int64_t row) {
  const Shape& s = p.shape;
  if (!p.query_ids.defined()) return {{0, s.queries, 0, s.keys, false}};
  const int64_t* query_ids = data<int64_t>(p.query_ids) + row * s.queries;
  const int64_t* key_ids = data<int64_t>(p.key_ids) + row * s.keys;
  std::vector<Run> runs;
  for (int64_t begin = 0, end; begin < s.queries; begin = end) {
    const int64_t id = query_ids[begin];
    for (end = begin + 1; end < s.queries && query_ids[end] == id; ++end) {
    }
    Run run{begin, end, 0, 0, false};
    if (id != 0) {
      int64_t first = 0, last = s.keys;
      while (first < s.keys && key_ids[first] != id) ++first;
      while (last > first && key_ids[last - 1] != id) --last;
      run.key_begin = first;
      run.key_end = last;
      for (int64_t i = first; i < last; ++i) run.is_mixed |= key_ids[i] != id;
    }
    runs.push_back(run);
  }
  return runs;
}

template <class T>
struct View {  // rows of one head
  T* data;
  int64_t stride;
};
template <class T>
View<T> view(const at::Tensor& tensor, int64_t row, int64_t head) {
  return {data<T>(tensor) + row * tensor.stride(0) + head * tensor.stride(2), tensor.stride(1)};
}

// Buffers of one task, in memory that a thread keeps between tasks.
template <class A>
class Scratch {
 public:
  explicit Scratch(int64_t size) {
    const auto needed = static_cast<size_t>(size + kMaxBuffers * kAlignment);
    if (memory().size() < needed) memory().resize(needed);
  }
  A* take(int64_t count) {
    A* buffer = memory().data() + used_;
    used_ += static_cast<size_t>((count + kAlignment - 1) / kAlignment * kAlignment);
    FLANMOE_ASSERT(used_ <= memory().size());
    return buffer;
  }

 private:
  static constexpr int64_t kMaxBuffers = 16, kAlignment = 16;
  static std::vector<A>& memory() {
    static thread_local std::vector<A> buffer;
    return buffer;
  }
  size_t used_ = 0;
};

struct Gradients {
  at::Tensor q, k, v;  // [B, L, H, d] contiguous
};

template <class T>
int64_t num_words(int64_t count) {
  return (count + cpu::attention_kernels<T>().pair - 1) / cpu::attention_kernels<T>().pair;
}

// One head of one row, for which the tensors are [length, width].
template <class T>
class Head {
 public:
  using A = Accumulator<T>;
  Head(const Problem& problem, int64_t row, int64_t head)
      : p_(problem),
        s_(problem.shape),
        row_(row),
        head_(head),
        tile_rows_(std::min(kTileRows, s_.queries)) {}

  void forward(const std::vector<Run>& runs, const at::Tensor& output, const at::Tensor& logsumexp);
  void backward(const std::vector<Run>& runs, const at::Tensor& output,
                const at::Tensor& grad_output, const at::Tensor& logsumexp, const Gradients& grads,
                A* grad_bias);

 private:
  cpu::AttentionTile<A> make_tile(const Run& run, int64_t begin, int64_t rows, A* scores,
                                  A* key_mask);
  int64_t logsumexp_begin() const { return (row_ * s_.heads + head_) * s_.queries; }

  const Problem& p_;
  const Shape& s_;
  const int64_t row_, head_, tile_rows_;
  const cpu::AttentionKernels<T>& kernels_ = cpu::attention_kernels<T>();
};

// Mask, bias and dropout of the queries [begin, begin + rows) of a run.
template <class T>
cpu::AttentionTile<Accumulator<T>> Head<T>::make_tile(const Run& run, int64_t begin, int64_t rows,
                                                      A* scores, A* key_mask) {
  cpu::AttentionTile<A> tile{
      .num_rows = rows, .num_keys = run.key_end - run.key_begin, .scores = scores};
  if (p_.is_causal) {
    tile.is_causal = true;
    tile.num_visible = begin + p_.query_offset + 1 - run.key_begin;
    tile.num_keys = std::clamp<int64_t>(tile.num_visible + rows - 1, 0, tile.num_keys);
  }
  if (p_.bias.defined()) {
    tile.bias = data<A>(p_.bias) + (head_ * s_.queries + begin) * s_.keys + run.key_begin;
    tile.bias_stride = s_.keys;
  }
  if (run.is_mixed) {
    const int64_t id = data<int64_t>(p_.query_ids)[row_ * s_.queries + begin];
    const int64_t* key_ids = data<int64_t>(p_.key_ids) + row_ * s_.keys + run.key_begin;
    for (int64_t i = 0; i < tile.num_keys; ++i)
      key_mask[i] = key_ids[i] == id ? A(0) : -std::numeric_limits<A>::infinity();
    tile.key_mask = key_mask;
  }
  if (p_.token_keys.defined()) {
    tile.dropout_key = p_.dropout_key;
    tile.head = head_;
    tile.token_keys = data<int64_t>(p_.token_keys) + row_ * s_.queries + begin;
    tile.dropout = p_.dropout;
  }
  return tile;
}

template <class T>
void Head<T>::forward(const std::vector<Run>& runs, const at::Tensor& output,
                      const at::Tensor& logsumexp) {
  const int64_t width_words = num_words<T>(s_.width), key_words = num_words<T>(s_.keys);
  Scratch<A> memory(s_.keys * (width_words + 1) + key_words * s_.width +
                    tile_rows_ * (s_.keys + key_words + width_words + s_.width + 1));
  A* const transposed_keys = memory.take(width_words * s_.keys);
  A* const value_pairs = memory.take(key_words * s_.width);
  A* const key_mask = memory.take(s_.keys);
  A* const scores = memory.take(tile_rows_ * s_.keys);
  A* const weight_words = kernels_.pair == 1 ? scores : memory.take(tile_rows_ * key_words);
  A* const query_rows = memory.take(tile_rows_ * width_words);
  A* const sums = memory.take(tile_rows_ * s_.width);
  A* const inverse_sum = memory.take(tile_rows_);
  const auto q = view<const T>(p_.q, row_, head_), k = view<const T>(p_.k, row_, head_),
             v = view<const T>(p_.v, row_, head_);
  const auto out = view<T>(output, row_, head_);
  A* const lse = logsumexp.defined() ? data<A>(logsumexp) + logsumexp_begin() : nullptr;

  for (const Run& run : runs) {
    const int64_t num_keys = run.key_end - run.key_begin;
    const T *const keys = k.data + run.key_begin * k.stride, *const values =
                                                                 v.data + run.key_begin * v.stride;
    const bool has_few = run.query_end - run.query_begin < kFewRows;
    if (!has_few) {
      kernels_.pack_transposed(keys, k.stride, transposed_keys, num_keys, s_.width);
      kernels_.pack_pairs(values, v.stride, value_pairs, num_keys, s_.width);
    }
    for (int64_t begin = run.query_begin; begin < run.query_end; begin += tile_rows_) {
      const int64_t rows = std::min(tile_rows_, run.query_end - begin);
      const auto tile = make_tile(run, begin, rows, scores, key_mask);
      const T* const queries = q.data + begin * q.stride;
      if (has_few) {
        kernels_.dot_all(queries, q.stride, keys, k.stride, scores, rows, tile.num_keys, s_.width);
        kernels_.attention_softmax(tile, scores, inverse_sum, lse ? lse + begin : nullptr);
        kernels_.sum_weighted(scores, values, v.stride, sums, rows, tile.num_keys, s_.width);
      } else {
        kernels_.pack_rows(queries, q.stride, query_rows, rows, s_.width);
        kernels_.multiply({.rows = rows,
                           .columns = tile.num_keys,
                           .inner = width_words,
                           .a = query_rows,
                           .a_row = width_words,
                           .b = transposed_keys,
                           .b_stride = num_keys,
                           .c = scores,
                           .c_stride = tile.num_keys});
        kernels_.attention_softmax(tile, weight_words, inverse_sum, lse ? lse + begin : nullptr);
        kernels_.multiply({.rows = rows,
                           .columns = s_.width,
                           .inner = num_words<T>(tile.num_keys),
                           .a = weight_words,
                           .a_row = num_words<T>(tile.num_keys),
                           .b = value_pairs,
                           .b_stride = s_.width,
                           .c = sums,
                           .c_stride = s_.width});
      }
      kernels_.store_rows(sums, inverse_sum, out.data + begin * out.stride, out.stride, rows,
                          s_.width);
    }
  }
}

template <class T>
void Head<T>::backward(const std::vector<Run>& runs, const at::Tensor& output,
                       const at::Tensor& grad_output, const at::Tensor& logsumexp,
                       const Gradients& grads, A* grad_bias) {
  const int64_t width_words = num_words<T>(s_.width), key_words = num_words<T>(s_.keys),
                row_words = num_words<T>(tile_rows_);
  Scratch<A> memory(s_.keys * (2 * width_words + 2 * s_.width + 1) + key_words * s_.width +
                    tile_rows_ * (2 * s_.keys + key_words + 2 * width_words + s_.width + 1) +
                    row_words * (2 * s_.width + s_.keys));
  A* const transposed_keys = memory.take(width_words * s_.keys);
  A* const transposed_values = memory.take(width_words * s_.keys);
  A* const key_pairs = memory.take(key_words * s_.width);
  A* const grad_keys = memory.take(s_.keys * s_.width);
  A* const grad_values = memory.take(s_.keys * s_.width);
  A* const key_mask = memory.take(s_.keys);
  A* const scores = memory.take(tile_rows_ * s_.keys);
  A* const grad_scores = memory.take(tile_rows_ * s_.keys);
  A* const score_rows = kernels_.pair == 1 ? grad_scores : memory.take(tile_rows_ * key_words);
  A* const score_pairs = kernels_.pair == 1 ? nullptr : memory.take(row_words * s_.keys);
  A* const query_rows = memory.take(tile_rows_ * width_words);
  A* const grad_rows = memory.take(tile_rows_ * width_words);
  A* const row_pairs = kernels_.pair == 1 ? nullptr : memory.take(row_words * s_.width);
  A* const grad_queries = memory.take(tile_rows_ * s_.width);
  A* const delta = memory.take(tile_rows_);
  const auto q = view<const T>(p_.q, row_, head_), k = view<const T>(p_.k, row_, head_),
             v = view<const T>(p_.v, row_, head_);
  const auto out = view<const T>(output, row_, head_),
             grad_out = view<const T>(grad_output, row_, head_);
  const auto grad_q = view<T>(grads.q, row_, head_), grad_k = view<T>(grads.k, row_, head_),
             grad_v = view<T>(grads.v, row_, head_);
  const A* const lse = data<A>(logsumexp) + logsumexp_begin();
  std::fill_n(grad_keys, s_.keys * s_.width, A(0));
  std::fill_n(grad_values, s_.keys * s_.width, A(0));

  for (const Run& run : runs) {
    const int64_t num_keys = run.key_end - run.key_begin;
    kernels_.pack_transposed(k.data + run.key_begin * k.stride, k.stride, transposed_keys, num_keys,
                             s_.width);
    kernels_.pack_transposed(v.data + run.key_begin * v.stride, v.stride, transposed_values,
                             num_keys, s_.width);
    kernels_.pack_pairs(k.data + run.key_begin * k.stride, k.stride, key_pairs, num_keys, s_.width);
    for (int64_t begin = run.query_begin; begin < run.query_end; begin += tile_rows_) {
      const int64_t rows = std::min(tile_rows_, run.query_end - begin);
      const auto tile = make_tile(run, begin, rows, scores, key_mask);
      const T *const queries = q.data + begin * q.stride, *const grad = grad_out.data +
                                                                        begin * grad_out.stride;
      kernels_.pack_rows(queries, q.stride, query_rows, rows, s_.width);
      kernels_.pack_rows(grad, grad_out.stride, grad_rows, rows, s_.width);
      kernels_.multiply({.rows = rows,
                         .columns = tile.num_keys,
                         .inner = width_words,
                         .a = query_rows,
                         .a_row = width_words,
                         .b = transposed_keys,
                         .b_stride = num_keys,
                         .c = scores,
                         .c_stride = tile.num_keys});
      kernels_.multiply({.rows = rows,
                         .columns = tile.num_keys,
                         .inner = width_words,
                         .a = grad_rows,
                         .a_row = width_words,
                         .b = transposed_values,
                         .b_stride = num_keys,
                         .c = grad_scores,
                         .c_stride = tile.num_keys});
      kernels_.row_dot(out.data + begin * out.stride, out.stride, grad, grad_out.stride, delta,
                       rows, s_.width);
      kernels_.attention_softmax_backward(
          tile, lse + begin, delta, grad_scores,
          grad_bias ? grad_bias + begin * s_.keys + run.key_begin : nullptr, s_.keys);
      // sums over queries: left^T right, left [rows, keys] scores, right [rows, width] with
      // `right_rows` its packed rows
      auto add_transposed_product = [&](const A* left, const T* right, int64_t right_stride,
                                        const A* right_rows, A* sums) {
        if (kernels_.pair > 1) {
          kernels_.pack_score_pairs(left, score_pairs, rows, tile.num_keys);
          kernels_.pack_pairs(right, right_stride, row_pairs, rows, s_.width);
        }
        kernels_.multiply({.rows = tile.num_keys,
                           .columns = s_.width,
                           .inner = num_words<T>(rows),
                           .a = kernels_.pair > 1 ? score_pairs : left,
                           .a_row = 1,
                           .a_column = tile.num_keys,
                           .b = kernels_.pair > 1 ? row_pairs : right_rows,
                           .b_stride = s_.width,
                           .c = sums + run.key_begin * s_.width,
                           .c_stride = s_.width,
                           .adds = true});
      };
      add_transposed_product(scores, grad, grad_out.stride, grad_rows, grad_values);
      add_transposed_product(grad_scores, queries, q.stride, query_rows, grad_keys);
      if (kernels_.pair > 1) kernels_.pack_score_rows(grad_scores, score_rows, rows, tile.num_keys);
      kernels_.multiply({.rows = rows,
                         .columns = s_.width,
                         .inner = num_words<T>(tile.num_keys),
                         .a = score_rows,
                         .a_row = num_words<T>(tile.num_keys),
                         .b = key_pairs,
                         .b_stride = s_.width,
                         .c = grad_queries,
                         .c_stride = s_.width});
      kernels_.store_rows(grad_queries, nullptr, grad_q.data + begin * grad_q.stride, grad_q.stride,
                          rows, s_.width);
    }
  }
  kernels_.store_rows(grad_keys, nullptr, grad_k.data, grad_k.stride, s_.keys, s_.width);
  kernels_.store_rows(grad_values, nullptr, grad_v.data, grad_v.stride, s_.keys, s_.width);
}

// Tasks worth one piece of work for a thread: small heads are handed out several at a time.
int64_t grain(const Shape& s) {
  return std::max<int64_t>(1, 65536 / std::max<int64_t>(1, s.queries * s.keys * s.width));
}

template <class T>
void forward(const Problem& p, const at::Tensor& output, const at::Tensor& logsumexp) {
  const Shape& s = p.shape;
  at::parallel_for(0, s.rows * s.heads, grain(s), [&](int64_t begin, int64_t end) {
    std::vector<Run> runs;
    int64_t row_of_runs = -1;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t row = task / s.heads;
      if (row != row_of_runs) runs = find_runs(p, row);
      row_of_runs = row;
      Head<T>(p, row, task % s.heads).forward(runs, output, logsumexp);
    }
  });
}

// The gradient of the bias is summed over rows. Rows are cut into parts, by the shape only, each
// with a sum of its own.
template <class T>
at::Tensor backward(const Problem& p, const at::Tensor& output, const at::Tensor& grad_output,
                    const at::Tensor& logsumexp, const Gradients& grads, bool needs_bias) {
  using A = Accumulator<T>;
  const Shape& s = p.shape;
  const int64_t bias_size = s.queries * s.keys;
  const int64_t num_parts = needs_bias ? std::clamp<int64_t>((32 + s.heads - 1) / s.heads, 1,
                                                             std::max<int64_t>(1, s.rows))
                                       : s.rows;
  at::Tensor partial = needs_bias
                           ? at::empty({num_parts, s.heads, s.queries, s.keys}, p.bias.options())
                           : at::Tensor();
  at::parallel_for(0, num_parts * s.heads, grain(s), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t part = task / s.heads, head = task % s.heads;
      A* const grad_bias = needs_bias ? data<A>(partial) + task * bias_size : nullptr;
      if (grad_bias) std::fill_n(grad_bias, bias_size, A(0));  // here, where it stays in cache
      for (int64_t row = part * s.rows / num_parts; row < (part + 1) * s.rows / num_parts; ++row)
        Head<T>(p, row, head)
            .backward(find_runs(p, row), output, grad_output, logsumexp, grads, grad_bias);
    }
  });
  if (!needs_bias) return {};
  A* const total = data<A>(partial);
  const int64_t size = s.heads * bias_size;
  at::parallel_for(0, size, 16384, [&](int64_t begin, int64_t end) {
    for (int64_t part = 1; part < num_parts; ++part)
      for (int64_t i = begin; i < end; ++i) total[i] += total[part * size + i];
  });
  return partial.select(0, 0);
}

at::Tensor with_contiguous_width(const at::Tensor& x) {
  return x.stride(-1) == 1 || x.size(-1) <= 1 ? x : x.contiguous();
}

void check(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& bias,
           const AttentionMask& mask) {
  auto expect = [&](bool is_right, const char* what, const at::Tensor& found) {
    if (!is_right)
      fail(ErrorCode::ShapeMismatch,
           "[ops.attention] {} is {}, which does not fit q {}, k {}, v {}", what, shape_text(found),
           shape_text(q), shape_text(k), shape_text(v));
  };
  expect(q.dim() == 4, "q", q);
  expect(k.dim() == 4 && k.size(0) == q.size(0) && k.size(2) == q.size(2) &&
             k.size(3) == q.size(3) && k.scalar_type() == q.scalar_type(),
         "k", k);
  expect(v.sizes() == k.sizes() && v.scalar_type() == k.scalar_type(), "v", v);
  if (bias.defined())
    expect(bias.dim() == 3 && bias.size(0) == q.size(2) && bias.size(1) == q.size(1) &&
               bias.size(2) == k.size(1),
           "bias", bias);
  const at::Tensor &query_ids = mask.query_segment_ids_BQ, &key_ids = mask.key_segment_ids_BK;
  expect(query_ids.defined() == key_ids.defined(), "one of the two segment id tensors", query_ids);
  if (!query_ids.defined()) return;
  expect(query_ids.dim() == 2 && query_ids.size(0) == q.size(0) && query_ids.size(1) == q.size(1) &&
             query_ids.scalar_type() == at::kLong,
         "query_segment_ids", query_ids);
  expect(key_ids.dim() == 2 && key_ids.size(0) == k.size(0) && key_ids.size(1) == k.size(1) &&
             key_ids.scalar_type() == at::kLong,
         "key_segment_ids", key_ids);
}

}  // namespace

at::Tensor attention(const at::Tensor& q_BQHd, const at::Tensor& k_BKHd, const at::Tensor& v_BKHd,
                     const at::Tensor& bias_HQK, const AttentionMask& mask,
                     const std::optional<AttentionDropout>& dropout) {
  check(q_BQHd, k_BKHd, v_BKHd, bias_HQK, mask);
  const bool drops = dropout && dropout->rate != 0;
  if (drops) {
    check_dropout_rate("attention", dropout->rate);
    const at::Tensor& keys = dropout->noise.token_keys;
    if (!keys.defined() || keys.scalar_type() != at::kLong ||
        keys.numel() != q_BQHd.size(0) * q_BQHd.size(1))
      fail(ErrorCode::ShapeMismatch,
           "[ops.attention] token keys of the dropout are {} but q is {}; one int64 key for every "
           "query is expected",
           shape_text(keys), shape_text(q_BQHd));
  }
  if (q_BQHd.is_cuda()) return cuda::attention(q_BQHd, k_BKHd, v_BKHd, bias_HQK, mask, dropout);

  // the conversion of the bias is recorded by itself
  const at::Tensor bias =
      bias_HQK.defined() ? bias_HQK.to(accumulator_dtype(q_BQHd)).contiguous() : at::Tensor();
  const bool records = is_recorded({q_BQHd, k_BKHd, v_BKHd, bias});
  const c10::AutoGradMode off(false);
  Problem p{
      .shape = {q_BQHd.size(0), q_BQHd.size(1), k_BKHd.size(1), q_BQHd.size(2), q_BQHd.size(3)},
      .q = with_contiguous_width(q_BQHd),
      .k = with_contiguous_width(k_BKHd),
      .v = with_contiguous_width(v_BKHd),
      .bias = bias,
      .is_causal = mask.is_causal,
      .query_offset = mask.query_offset};
  if (mask.query_segment_ids_BQ.defined()) {
    p.query_ids = mask.query_segment_ids_BQ.contiguous();
    p.key_ids = mask.key_segment_ids_BK.contiguous();
  }
  if (drops) {
    p.dropout = make_dropout_rule(dropout->rate);
    p.dropout_key = dropout->noise.key;
    p.token_keys = dropout->noise.token_keys.contiguous();
  }
  const at::Tensor output = empty_like(q_BQHd);
  const at::Tensor logsumexp = records ? empty({p.shape.rows, p.shape.heads, p.shape.queries},
                                               q_BQHd, accumulator_dtype(q_BQHd))
                                       : at::Tensor();
  visit_dtype("attention", output, [&]<class T>(T) { forward<T>(p, output, logsumexp); });
  if (!records) return output;

  const at::Tensor q = p.q, k = p.k, v = p.v;
  p.q = p.k = p.v = p.bias = at::Tensor();
  const c10::AutoGradMode on(true);
  return record(
      output, {q_BQHd, k_BKHd, v_BKHd, bias}, {q, k, v, bias, output, logsumexp},
      [p = std::move(p)](const BackwardCall& call) {
        Problem problem = p;
        problem.q = call.saved[0];
        problem.k = call.saved[1];
        problem.v = call.saved[2];
        problem.bias = call.saved[3];
        const Gradients grads{empty_like(problem.q), empty_like(problem.k), empty_like(problem.v)};
        const at::Tensor grad = with_contiguous_width(call.grad);
        at::Tensor grad_bias;
        visit_dtype("attention", problem.q, [&]<class T>(T) {
          grad_bias =
              backward<T>(problem, call.saved[4], grad, call.saved[5], grads, call.is_needed[3]);
        });
        return std::vector<at::Tensor>{grads.q, grads.k, grads.v, grad_bias};
      });
}

}  // namespace flanmoe::ops
