#include "ops/merging.h"

#include <ATen/Parallel.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/sub.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "ops/autograd.h"
#include "ops/products.h"
#include "ops/tensors.h"
#include "ops/transformer.h"

namespace flanmoe::ops {

namespace composite {

at::Tensor merging_weights(const at::Tensor& x, const at::Tensor& kernel_nK, bool applies_gelu) {
  const at::Tensor wide = x.to(kernel_nK.scalar_type());
  return at::softmax(at::matmul(applies_gelu ? gelu(wide) : wide, kernel_nK.t()), -1);
}

at::Tensor scale_by_weights(const at::Tensor& values, const at::Tensor& weights,
                            const at::Tensor& vectors_nW, bool has_mass) {
  const bool has_heads = weights.dim() > values.dim();
  const int64_t num_experts = vectors_nW.size(0), width = vectors_nW.size(1),
                num_heads = has_heads ? weights.size(-2) : 1;
  const at::Tensor weights_HTn = weights.reshape({-1, num_heads, num_experts}).transpose(0, 1);
  const at::Tensor offsets_Hnd =
      vectors_nW.sub(1).view({num_experts, num_heads, width / num_heads}).transpose(0, 1);
  at::Tensor factors = at::matmul(weights_HTn, offsets_Hnd);
  factors = has_mass ? factors.add(weights_HTn.sum(-1, true)) : factors.add(1);
  return values.to(vectors_nW.scalar_type())
      .mul(factors.transpose(0, 1).reshape(values.sizes()))
      .to(values.scalar_type());
}

at::Tensor scale_by_mixture(const at::Tensor& values, const at::Tensor& vectors_nW,
                            const MergingRouter& router, int64_t num_heads) {
  std::vector<int64_t> shape = values.sizes().vec();
  shape.back() = num_heads;
  shape.push_back(values.size(-1) / num_heads);
  const at::Tensor input = router.input.defined() ? router.input
                           : num_heads > 1        ? values.view(shape)
                                                  : values;
  return scale_by_weights(
      values,
      keep_largest(merging_weights(input, router.kernel_nK, router.applies_gelu), router.top_k),
      vectors_nW, router.top_k > 0);
}

}  // namespace composite

namespace {

// Below this packing costs more than it gains.
constexpr int64_t kFewRows = 16;

// Rows of a matrix product's tile, twice.
constexpr int64_t kTileRows = 12;

// What a thread works on at a time, of a head: few enough rows that some arrays of them stay in a
// core's cache, more of them where they are short.
int64_t count_tile_rows(int64_t width) {
  return kTileRows * std::clamp<int64_t>(512 / std::max<int64_t>(1, width), 1, 8);
}

// Rows of the parts into which sums over rows are cut: follows from the shape only.
int64_t count_part_rows(int64_t rows) {
  constexpr int64_t kMostParts = 16;
  const int64_t tiles = (rows + kMostParts * kTileRows - 1) / (kMostParts * kTileRows);
  return std::max<int64_t>(1, tiles) * kTileRows;
}

template <class A>
A* scratch_memory(int64_t size) {
  thread_local std::vector<A> memory;
  if (static_cast<int64_t>(memory.size()) < size) memory.resize(static_cast<size_t>(size));
  return memory.data();
}

// What a call works on: `values` or the router may be missing. Nothing is recorded here.
struct Merging {
  at::Tensor values, vectors;  // [T, W], [n, W]
  at::Tensor input, kernel;    // [T, K], [n, K]; input is `values` itself where they are routed
  at::Tensor weights;          // [T, H, n], given, or wanted
  int64_t num_heads = 1, num_experts = 0, top_k = 0;
  bool applies_gelu = false, has_mass = false, routes_values = false;
  bool has_constant_weight = false;  // 1, of the one expert
  bool has_weights = false;          // those of the router, of an earlier pass
};

int64_t count_rows(const Merging& m) {
  return m.values.defined() ? as_rows(m.values).num_rows : as_rows(m.input).num_rows;
}

// The packed forms of the parameters.
struct Packed {
  at::Tensor kernel_by_input, offsets, offsets_by_value;
};
Packed pack(const Merging& m, bool is_backward) {
  Packed packed;
  if (m.kernel.defined()) packed.kernel_by_input = m.kernel.t().contiguous();
  if (m.vectors.defined()) {
    packed.offsets = at::sub(m.vectors, 1);
    if (is_backward) packed.offsets_by_value = packed.offsets.t().contiguous();
  }
  return packed;
}

// Of all rows and one head.
template <class T>
cpu::MergingTile<T> describe(const Merging& m, const Packed& packed, const at::Tensor& output,
                             int64_t head) {
  using A = Accumulator<T>;
  cpu::MergingTile<T> t;
  t.rows = count_rows(m);
  t.num_experts = m.num_experts;
  t.top_k = m.top_k;
  t.has_mass = m.has_mass;
  t.has_weights = m.has_weights;
  if (m.values.defined()) {
    const Rows values = as_rows(m.values);
    t.width = values.num_columns / m.num_heads;
    t.values = data<T>(values.tensor) + head * t.width;
    t.values_stride = values.stride;
    t.vectors = data<A>(m.vectors) + head * t.width;
    t.vectors_stride = values.num_columns;
    if (packed.offsets.defined()) t.offsets = data<A>(packed.offsets) + head * t.width;
    if (output.defined()) t.output = data<T>(output) + head * t.width;
    t.output_stride = values.num_columns;
  }
  if (m.kernel.defined()) {
    t.input_width = m.kernel.size(1);
    t.applies_gelu = m.applies_gelu;
    t.kernel = data<A>(m.kernel);
    t.kernel_by_input = data<A>(packed.kernel_by_input);
    if (m.routes_values) {
      t.input = t.values;
      t.input_stride = t.values_stride;
    } else {
      const Rows input = as_rows(m.input);
      t.input = data<T>(input.tensor);
      t.input_stride = input.stride;
    }
  }
  if (m.has_constant_weight) {
    static const A one = 1;
    t.weights = const_cast<A*>(&one);  // NOLINT: weights that are given are read only
  }
  if (m.weights.defined()) {
    t.weights_stride = m.num_heads * m.num_experts;
    t.weights = data<A>(m.weights) + head * m.num_experts;
  }
  return t;
}

template <class T>
void advance(cpu::MergingTile<T>& t, int64_t begin, int64_t count) {
  t.rows = count;
  if (t.values) t.values += begin * t.values_stride;
  if (t.output) t.output += begin * t.output_stride;
  if (t.input) t.input += begin * t.input_stride;
  if (t.weights) t.weights += begin * t.weights_stride;
}

// [T, W] contiguous, whatever the leading dims.
at::Tensor dense(const at::Tensor& x) {
  return as_rows(x).tensor;
}

template <class T>
void run_forward(const Merging& m, const at::Tensor& output) {
  const int64_t rows = count_rows(m);
  const Packed packed = rows < kFewRows ? Packed{} : pack(m, false);
  const cpu::MergingKernels<T>& kernels = cpu::merging_kernels<T>();
  std::vector<cpu::MergingTile<T>> heads;
  for (int64_t head = 0; head < m.num_heads; ++head)
    heads.push_back(describe<T>(m, packed, output, head));
  const auto run = [&](int64_t begin, int64_t count) {
    for (cpu::MergingTile<T> tile : heads) {
      advance(tile, begin, count);
      kernels.merge(tile, scratch_memory<Accumulator<T>>(kernels.scratch_size(tile)));
    }
  };
  const int64_t tile_rows = count_tile_rows(std::max(heads[0].width, heads[0].input_width));
  if (rows <= tile_rows) return run(0, rows);
  const int64_t tiles = (rows + tile_rows - 1) / tile_rows;
  at::parallel_for(0, tiles, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i)
      run(i * tile_rows, std::min(tile_rows, rows - i * tile_rows));
  });
}

struct Gradients {
  at::Tensor values, input, kernel, vectors, weights;
};

// Those that are wanted are given as tensors, uninitialised; `weights` is taken where there are no
// values.
template <class T>
void run_backward(const Merging& m, const at::Tensor& grad, const Gradients& gradients) {
  using A = Accumulator<T>;
  const int64_t rows = count_rows(m), part_rows = count_part_rows(rows),
                parts = std::max<int64_t>(1, (rows + part_rows - 1) / part_rows);
  const Packed packed = pack(m, true);
  const cpu::MergingKernels<T>& kernels = cpu::merging_kernels<T>();
  const Rows grad_rows = grad.defined() ? as_rows(grad) : Rows{};
  std::vector<cpu::MergingTile<T>> heads;
  std::vector<cpu::MergingGradients<T>> of_heads;
  for (int64_t head = 0; head < m.num_heads; ++head) {
    heads.push_back(describe<T>(m, packed, {}, head));
    const int64_t width = heads.back().width, column = head * width;
    cpu::MergingGradients<T> g;
    if (grad.defined()) {
      g.grad = data<T>(grad_rows.tensor) + column;
      g.grad_stride = grad_rows.stride;
      g.offsets_by_value = data<A>(packed.offsets_by_value) + column * m.num_experts;
    }
    if (gradients.values.defined()) g.grad_values = data<T>(gradients.values) + column;
    g.grad_values_stride = width * m.num_heads;
    g.grad_input = data<T>(gradients.input);
    g.grad_input_stride = heads.back().input_width;
    if (gradients.weights.defined())
      g.grad_weights = data<A>(gradients.weights) + head * m.num_experts;
    g.grad_weights_stride = m.num_heads * m.num_experts;
    of_heads.push_back(g);
  }
  const auto zeros_of = [&](const at::Tensor& like) {
    if (!like.defined()) return at::Tensor();
    std::vector<int64_t> shape = like.sizes().vec();
    shape.insert(shape.begin(), parts);
    return at::zeros(shape, like.options());
  };
  const int64_t tile_rows = count_tile_rows(std::max(heads[0].width, heads[0].input_width));
  const at::Tensor kernel_parts = zeros_of(gradients.kernel),
                   vector_parts = zeros_of(gradients.vectors);
  for_pieces(parts, [&](int64_t part) {
    const int64_t end = std::min(rows, (part + 1) * part_rows);
    for (int64_t begin = part * part_rows; begin < end; begin += tile_rows)
      for (size_t head = 0; head < heads.size(); ++head) {
        cpu::MergingTile<T> tile = heads[head];
        cpu::MergingGradients<T> g = of_heads[head];
        advance(tile, begin, std::min(tile_rows, end - begin));
        if (g.grad) g.grad += begin * g.grad_stride;
        if (g.grad_values) g.grad_values += begin * g.grad_values_stride;
        if (g.grad_input) g.grad_input += begin * g.grad_input_stride;
        if (g.grad_weights) g.grad_weights += begin * g.grad_weights_stride;
        if (kernel_parts.defined()) g.grad_kernel = data<A>(kernel_parts) + part * m.kernel.numel();
        if (vector_parts.defined())
          g.grad_vectors = data<A>(vector_parts) + part * m.vectors.numel() +
                           static_cast<int64_t>(head) * tile.width;
        kernels.merge_backward(tile, g, scratch_memory<A>(kernels.scratch_size(tile)));
      }
  });
  const auto sum = [&](const at::Tensor& summands, const at::Tensor& total) {
    if (!total.defined()) return;
    at::Tensor result = total;
    result.copy_(summands.select(0, 0));
    for (int64_t part = 1; part < parts; ++part) result.add_(summands.select(0, part));
  };
  sum(kernel_parts, gradients.kernel);
  sum(vector_parts, gradients.vectors);
}

// The dtype of parameters beside values of this one; recorded by itself.
at::Tensor as_parameter(const at::Tensor& parameter, const at::Tensor& values) {
  return parameter.to(accumulator_dtype(values)).contiguous();
}

void check_kernel(const char* op, const at::Tensor& x, const at::Tensor& kernel) {
  if (kernel.dim() != 2 || x.dim() < 1 || x.size(-1) != kernel.size(1))
    fail(ErrorCode::ShapeMismatch,
         "[ops.{}] the router's input is {} but its kernel is {}; [..., K] and [experts, K] are "
         "expected",
         op, shape_text(x), shape_text(kernel));
}

void check_vectors(const char* op, const at::Tensor& values, const at::Tensor& vectors,
                   int64_t num_heads) {
  if (vectors.dim() != 2 || values.dim() < 1 || values.size(-1) != vectors.size(1) ||
      num_heads < 1 || values.size(-1) % num_heads != 0)
    fail(ErrorCode::ShapeMismatch,
         "[ops.{}] values are {} in {} heads but vectors are {}; [..., W] and [experts, W] are "
         "expected, W a multiple of the heads",
         op, shape_text(values), num_heads, shape_text(vectors));
}

at::Tensor empty_if(bool is_wanted, const at::Tensor& like) {
  return is_wanted ? empty_like(like) : at::Tensor();
}

}  // namespace

at::Tensor merging_weights(const at::Tensor& x, const at::Tensor& kernel_nK, bool applies_gelu) {
  check_kernel("merging_weights", x, kernel_nK);
  const at::Tensor kernel = as_parameter(kernel_nK, x);
  if (!x.is_cpu()) return composite::merging_weights(x, kernel, applies_gelu);
  const bool records = is_recorded({x, kernel});
  const c10::AutoGradMode off(false);
  Merging m;
  m.input = dense(x.detach());
  m.kernel = kernel.detach();
  m.num_experts = kernel.size(0);
  m.applies_gelu = applies_gelu;
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = m.num_experts;
  m.weights = empty(shape, kernel, kernel.scalar_type());
  visit_dtype("merging_weights", x, [&]<class T>(T) { run_forward<T>(m, {}); });
  const at::Tensor weights = m.weights;
  if (!records) return weights;
  const c10::AutoGradMode on(true);
  m.input = m.kernel = m.weights = at::Tensor();  // kept by autograd
  return record(weights, {x, kernel}, {x, kernel}, [m](const BackwardCall& call) {
    Merging saved = m;
    saved.input = dense(call.saved[0].detach());
    saved.kernel = call.saved[1].detach();
    Gradients g;
    g.weights = call.grad.contiguous();
    g.input = empty_if(call.is_needed[0], call.saved[0]);
    g.kernel = empty_if(call.is_needed[1], saved.kernel);
    visit_dtype("merging_weights", saved.input, [&]<class T>(T) { run_backward<T>(saved, {}, g); });
    return std::vector<at::Tensor>{g.input, g.kernel};
  });
}

at::Tensor keep_largest(const at::Tensor& weights, int64_t k) {
  if (k == 0 || k >= weights.size(-1)) return weights;
  const at::Tensor kept = std::get<1>(at::topk(weights.detach(), k, -1));
  return weights.mul(at::zeros(weights.sizes(), weights.options()).scatter_(-1, kept, 1));
}

at::Tensor scale_by_weights(const at::Tensor& values, const at::Tensor& weights,
                            const at::Tensor& vectors_nW, bool has_mass) {
  const int64_t num_heads = weights.dim() > values.dim() ? weights.size(-2) : 1;
  check_vectors("scale_by_weights", values, vectors_nW, num_heads);
  if (weights.size(-1) != vectors_nW.size(0) ||
      weights.numel() / std::max<int64_t>(1, weights.size(-1)) !=
          values.numel() / std::max<int64_t>(1, values.size(-1)) * num_heads)
    fail(ErrorCode::ShapeMismatch,
         "[ops.scale_by_weights] values are {} but weights are {} for {} experts",
         shape_text(values), shape_text(weights), vectors_nW.size(0));
  const at::Tensor vectors = as_parameter(vectors_nW, values),
                   weight = as_parameter(weights, values);
  if (!values.is_cpu()) return composite::scale_by_weights(values, weight, vectors, has_mass);
  const bool records = is_recorded({values, weight, vectors});
  const c10::AutoGradMode off(false);
  Merging m;
  m.values = dense(values.detach());
  m.vectors = vectors.detach();
  m.weights = weight.detach();
  m.num_experts = vectors.size(0);
  m.num_heads = num_heads;
  m.has_mass = has_mass;
  const at::Tensor output = empty_like(values);
  visit_dtype("scale_by_weights", values, [&]<class T>(T) { run_forward<T>(m, output); });
  if (!records) return output;
  const c10::AutoGradMode on(true);
  m.values = m.vectors = m.weights = at::Tensor();
  return record(output, {values, weight, vectors}, {values, weight, vectors},
                [m](const BackwardCall& call) {
                  Merging saved = m;
                  saved.values = dense(call.saved[0].detach());
                  saved.weights = call.saved[1].detach();
                  saved.vectors = call.saved[2].detach();
                  Gradients g;
                  g.values = empty_if(call.is_needed[0], call.saved[0]);
                  g.weights = empty_if(call.is_needed[1], saved.weights);
                  g.vectors = empty_if(call.is_needed[2], saved.vectors);
                  visit_dtype("scale_by_weights", saved.values,
                              [&]<class T>(T) { run_backward<T>(saved, call.grad, g); });
                  return std::vector<at::Tensor>{g.values, g.weights, g.vectors};
                });
}

at::Tensor scale(const at::Tensor& values, const at::Tensor& vector_W) {
  if (vector_W.dim() != 1 || values.dim() < 1 || values.size(-1) != vector_W.size(0))
    fail(ErrorCode::ShapeMismatch, "[ops.scale] values are {} but the vector is {}",
         shape_text(values), shape_text(vector_W));
  const at::Tensor vectors = as_parameter(vector_W, values).unsqueeze(0);
  if (!values.is_cpu())
    return composite::scale_by_weights(
        values, at::ones({values.numel() / vectors.size(1), 1}, vectors.options()), vectors, false);
  const bool records = is_recorded({values, vectors});
  const c10::AutoGradMode off(false);
  Merging m;
  m.values = dense(values.detach());
  m.vectors = vectors.detach();
  m.num_experts = 1;
  m.has_constant_weight = true;
  const at::Tensor output = empty_like(values);
  visit_dtype("scale", values, [&]<class T>(T) { run_forward<T>(m, output); });
  if (!records) return output;
  const c10::AutoGradMode on(true);
  m.values = m.vectors = at::Tensor();
  return record(output, {values, vectors}, {values, vectors}, [m](const BackwardCall& call) {
    Merging saved = m;
    saved.values = dense(call.saved[0].detach());
    saved.vectors = call.saved[1].detach();
    Gradients g;
    g.values = empty_if(call.is_needed[0], call.saved[0]);
    g.vectors = empty_if(call.is_needed[1], saved.vectors);
    visit_dtype("scale", saved.values, [&]<class T>(T) { run_backward<T>(saved, call.grad, g); });
    return std::vector<at::Tensor>{g.values, g.vectors};
  });
}

at::Tensor scale_by_mixture(const at::Tensor& values, const at::Tensor& vectors_nW,
                            const MergingRouter& router, int64_t num_heads) {
  const char* const op = "scale_by_mixture";
  check_vectors(op, values, vectors_nW, num_heads);
  const bool routes_values = !router.input.defined();
  if (routes_values && router.kernel_nK.dim() == 2 &&
      router.kernel_nK.size(1) * num_heads != values.size(-1))
    fail(ErrorCode::ShapeMismatch,
         "[ops.scale_by_mixture] values are {} in {} heads but the router's kernel is {}; "
         "[experts, {}] is expected",
         shape_text(values), num_heads, shape_text(router.kernel_nK), values.size(-1) / num_heads);
  if (!routes_values) {
    check_kernel(op, router.input, router.kernel_nK);
    if (as_rows(router.input).num_rows != as_rows(values).num_rows || num_heads != 1 ||
        router.input.scalar_type() != values.scalar_type())
      fail(ErrorCode::ShapeMismatch,
           "[ops.scale_by_mixture] values are {} {} but the router's input is {} {} (one a token, "
           "of the same dtype, for one head)",
           c10::toString(values.scalar_type()), shape_text(values),
           c10::toString(router.input.scalar_type()), shape_text(router.input));
  }
  const at::Tensor vectors = as_parameter(vectors_nW, values),
                   kernel = as_parameter(router.kernel_nK, values);
  const int64_t top_k = router.top_k >= kernel.size(0) ? 0 : router.top_k;
  if (!values.is_cpu())
    return composite::scale_by_mixture(
        values, vectors, {kernel, router.input, router.applies_gelu, top_k}, num_heads);
  const bool records = is_recorded({values, router.input, kernel, vectors});
  const c10::AutoGradMode off(false);
  Merging m;
  // With top_k the backward pass needs those that were left out too.
  if (records && top_k == 0) {
    std::vector<int64_t> shape = values.sizes().vec();
    shape.back() = num_heads;
    shape.push_back(kernel.size(0));
    m.weights = empty(shape, kernel, kernel.scalar_type());
  }
  m.values = dense(values.detach());
  m.vectors = vectors.detach();
  m.kernel = kernel.detach();
  m.input = routes_values ? at::Tensor() : dense(router.input.detach());
  m.num_experts = vectors.size(0);
  m.num_heads = num_heads;
  m.top_k = top_k;
  m.has_mass = top_k > 0;
  m.applies_gelu = router.applies_gelu;
  m.routes_values = routes_values;
  const at::Tensor output = empty_like(values);
  visit_dtype(op, values, [&]<class T>(T) { run_forward<T>(m, output); });
  if (!records) return output;
  const c10::AutoGradMode on(true);
  const at::Tensor weights = m.weights;
  m.values = m.vectors = m.kernel = m.input = m.weights = at::Tensor();
  m.has_weights = weights.defined();
  return record(output, {values, router.input, kernel, vectors},
                {values, router.input, kernel, vectors, weights}, [m](const BackwardCall& call) {
                  Merging saved = m;
                  if (m.has_weights) saved.weights = call.saved[4];
                  saved.values = dense(call.saved[0].detach());
                  if (call.saved[1].defined()) saved.input = dense(call.saved[1].detach());
                  saved.kernel = call.saved[2].detach();
                  saved.vectors = call.saved[3].detach();
                  Gradients g;
                  g.values = empty_if(call.is_needed[0], call.saved[0]);
                  g.input = empty_if(call.is_needed[1], call.saved[1]);
                  g.kernel = empty_if(call.is_needed[2], saved.kernel);
                  g.vectors = empty_if(call.is_needed[3], saved.vectors);
                  visit_dtype("scale_by_mixture", saved.values,
                              [&]<class T>(T) { run_backward<T>(saved, call.grad, g); });
                  return std::vector<at::Tensor>{g.values, g.input, g.kernel, g.vectors};
                });
}

namespace {

at::Tensor to_matrix(const at::Tensor& x) {
  const Rows rows = as_rows(x);
  return rows.tensor.as_strided({rows.num_rows, rows.num_columns}, {rows.stride, 1});
}

// z [T, n r] times scale and the weight [T, n] of its group.
at::Tensor scale_ranks(const at::Tensor& z, const at::Tensor& weights, double scale) {
  if (!weights.defined()) return scale == 1 ? z : z.mul(scale);
  const int64_t num_groups = weights.size(-1), size = z.size(1) / num_groups;
  if (!z.is_cpu()) {
    const at::Tensor grouped = z.view({-1, num_groups, size}).to(weights.scalar_type());
    return grouped.mul(weights.reshape({-1, num_groups, 1}))
        .mul(scale)
        .to(z.scalar_type())
        .view(z.sizes());
  }
  const at::Tensor scaled = empty_like(z);
  visit_dtype("scale_groups", z, [&]<class T>(T) {
    at::parallel_for(0, z.size(0), 1024, [&](int64_t begin, int64_t end) {
      cpu::merging_kernels<T>().scale_groups(
          data<T>(z) + begin * z.size(1), data<Accumulator<T>>(weights) + begin * num_groups,
          static_cast<Accumulator<T>>(scale), data<T>(scaled) + begin * z.size(1), end - begin,
          num_groups, size);
    });
  });
  return scaled;
}

// {gradient of z, gradient of the weights} from that of the scaled ranks.
std::pair<at::Tensor, at::Tensor> scale_ranks_backward(const at::Tensor& grad, const at::Tensor& z,
                                                       const at::Tensor& weights, double scale) {
  if (!weights.defined()) return {scale == 1 ? grad : grad.mul(scale), at::Tensor()};
  const int64_t num_groups = weights.size(-1), size = z.size(1) / num_groups;
  const at::Tensor grad_weights = empty_like(weights);
  if (!z.is_cpu()) {
    const at::Tensor products = grad.to(weights.scalar_type()).mul(z);
    return {
        scale_ranks(grad, weights, scale),
        products.view({-1, num_groups, size}).sum(-1).mul(scale).view(weights.sizes()),
    };
  }
  const at::Tensor grad_z = empty_like(z);
  visit_dtype("scale_groups", z, [&]<class T>(T) {
    at::parallel_for(0, z.size(0), 1024, [&](int64_t begin, int64_t end) {
      using A = Accumulator<T>;
      cpu::merging_kernels<T>().scale_groups_backward(
          data<T>(grad) + begin * z.size(1), data<T>(z) + begin * z.size(1),
          data<A>(weights) + begin * num_groups, static_cast<A>(scale),
          data<T>(grad_z) + begin * z.size(1), data<A>(grad_weights) + begin * num_groups,
          end - begin, num_groups, size);
    });
  });
  return {grad_z, grad_weights};
}

void check_low_rank(const at::Tensor& output, const at::Tensor& x, const WeightView& a,
                    const WeightView& b, const at::Tensor& weights) {
  const at::Tensor &a_values = a.values, &b_values = b.values;
  if (a_values.dim() != 2 || b_values.dim() != 2 || x.dim() < 1 || x.size(-1) != a_values.size(1) ||
      output.size(-1) != b_values.size(0) || a_values.size(0) != b_values.size(1) ||
      x.numel() / std::max<int64_t>(1, x.size(-1)) !=
          output.numel() / std::max<int64_t>(1, output.size(-1)))
    fail(ErrorCode::ShapeMismatch,
         "[ops.add_low_rank] x is {}, output {}, a {} and b {}; [..., in], [..., out], [ranks, in] "
         "and [out, ranks] are expected",
         shape_text(x), shape_text(output), shape_text(a_values), shape_text(b_values));
  if (a.leaf.numel() != a_values.numel() || b.leaf.numel() != b_values.numel())
    fail(ErrorCode::ShapeMismatch,
         "[ops.add_low_rank] a is {} and b {}, but their gradients' leaves are {} and {}",
         shape_text(a_values), shape_text(b_values), shape_text(a.leaf), shape_text(b.leaf));
  if (x.scalar_type() != a_values.scalar_type() || x.scalar_type() != b_values.scalar_type() ||
      x.scalar_type() != output.scalar_type())
    fail(ErrorCode::InvalidArgument,
         "[ops.add_low_rank] x is {}, output {}, a {} and b {}; one dtype is expected",
         c10::toString(x.scalar_type()), c10::toString(output.scalar_type()),
         c10::toString(a_values.scalar_type()), c10::toString(b_values.scalar_type()));
  if (weights.defined() &&
      (weights.size(-1) < 1 || a_values.size(0) % weights.size(-1) != 0 ||
       weights.numel() / weights.size(-1) != x.numel() / std::max<int64_t>(1, x.size(-1))))
    fail(ErrorCode::ShapeMismatch, "[ops.add_low_rank] weights are {} for x {} and {} ranks",
         shape_text(weights), shape_text(x), a_values.size(0));
}

at::Tensor multiply_new(const at::Tensor& left, const at::Tensor& right) {
  const at::Tensor product = at::empty({left.size(0), right.size(1)}, left.options());
  multiply(left, right, product);
  return product;
}

}  // namespace

at::Tensor add_low_rank(const at::Tensor& output, const at::Tensor& x, const WeightView& a,
                        const WeightView& b, double scale, const at::Tensor& weights) {
  check_low_rank(output, x, a, b, weights);
  const at::Tensor weight = weights.defined() ? as_parameter(weights, x) : weights;
  const bool records = is_recorded({output, x, a.leaf, b.leaf, weight});
  const c10::AutoGradMode off(false);
  const at::Tensor rows = to_matrix(x.detach()), a_values = a.values.detach().contiguous(),
                   b_values = b.values.detach().contiguous();
  const at::Tensor z = multiply_new(rows, a_values.t());
  at::Tensor y =
      multiply_new(scale_ranks(z, weight.defined() ? weight.detach() : weight, scale), b_values.t())
          .view(output.sizes());
  y.add_(output.detach());
  if (!records) return y;
  const c10::AutoGradMode on(true);
  const bool needs_x = x.requires_grad(), needs_a = a.leaf.requires_grad();
  const std::vector<int64_t> a_shape = a.leaf.sizes().vec();
  const int64_t num_groups = b.leaf.dim() == 3 ? b.leaf.size(0) : 1;
  return record(
      y, {output, x, a.leaf, b.leaf, weight},
      {needs_a ? rows : at::Tensor(), z, weight, needs_x ? a_values : at::Tensor(), b_values},
      [scale, a_shape, num_groups, has_leaf_groups = b.leaf.dim() == 3,
       x_shape = x.sizes().vec()](const BackwardCall& call) {
        const at::Tensor &rows_saved = call.saved[0], &z_saved = call.saved[1],
                         &a_saved = call.saved[3], &b_saved = call.saved[4];
        const at::Tensor weight_saved =
            call.saved[2].defined() ? call.saved[2].detach() : at::Tensor();
        const at::Tensor grad = to_matrix(call.grad);
        at::Tensor grad_x, grad_a, grad_b;
        if (call.is_needed[3]) {
          grad_b = multiply_new(grad.t(), scale_ranks(z_saved, weight_saved, scale));
          if (has_leaf_groups)
            grad_b = grad_b.view({grad_b.size(0), num_groups, -1}).permute({1, 0, 2}).contiguous();
        }
        const auto [grad_z, grad_weight] =
            scale_ranks_backward(multiply_new(grad, b_saved), z_saved, weight_saved, scale);
        if (call.is_needed[2]) grad_a = multiply_new(grad_z.t(), rows_saved).view(a_shape);
        if (call.is_needed[1]) grad_x = multiply_new(grad_z, a_saved).view(x_shape);
        return std::vector<at::Tensor>{call.grad, grad_x, grad_a, grad_b, grad_weight};
      });
}

}  // namespace flanmoe::ops
