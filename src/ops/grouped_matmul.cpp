#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include "ops/autograd.h"
#include "ops/products.h"
#include "ops/routing.h"
#include "ops/tensors.h"

namespace flanmoe::ops {

namespace {

template <class Function>
void for_experts(const std::vector<int64_t>& offsets, Function function) {
  for (size_t e = 0; e + 1 < offsets.size(); ++e)
    if (offsets[e + 1] > offsets[e])
      function(static_cast<int64_t>(e), offsets[e], offsets[e + 1] - offsets[e]);
}

void check(const at::Tensor& x, const at::Tensor& weight, const std::vector<int64_t>& offsets) {
  if (x.dim() != 2 || weight.dim() != 3 || x.size(1) != weight.size(2))
    fail(ErrorCode::ShapeMismatch,
         "[ops.grouped_matmul] x is {} but weight is {}; [assignments, in] and [experts, out, in] "
         "are expected",
         shape_text(x), shape_text(weight));
  if (x.scalar_type() != weight.scalar_type())
    fail(ErrorCode::InvalidArgument,
         "[ops.grouped_matmul] x is {} but weight is {}; one dtype is expected",
         c10::toString(x.scalar_type()), c10::toString(weight.scalar_type()));
  if (static_cast<int64_t>(offsets.size()) != weight.size(0) + 1 || offsets.front() != 0 ||
      offsets.back() != x.size(0))
    fail(ErrorCode::ShapeMismatch,
         "[ops.grouped_matmul] {} expert offsets end at {}, but there are {} experts and {} rows",
         offsets.size(), offsets.empty() ? 0 : offsets.back(), weight.size(0), x.size(0));
  for (size_t e = 0; e + 1 < offsets.size(); ++e)
    if (offsets[e] > offsets[e + 1])
      fail(ErrorCode::InvalidArgument,
           "[ops.grouped_matmul] expert offsets fall from {} to {} at expert {}", offsets[e],
           offsets[e + 1], e);
}

// y = x weight^T, x = y weight and weight = y^T x, expert by expert, into the one that is not
// given.
enum class Wanted { Output, Input, Weight };

void multiply_experts(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& y,
                      const std::vector<int64_t>& offsets, Wanted wanted,
                      bool has_gradient = true) {
  if (x.is_cuda()) {
    for_experts(offsets, [&](int64_t e, int64_t begin, int64_t count) {
      at::Tensor x_rows = x.narrow(0, begin, count), y_rows = y.narrow(0, begin, count),
                 matrix = weight.select(0, e);
      if (wanted == Wanted::Output) at::mm_out(y_rows, x_rows, matrix.t());
      if (wanted == Wanted::Input) at::mm_out(x_rows, y_rows, matrix);
      if (wanted == Wanted::Weight) at::mm_out(matrix, y_rows.t(), x_rows);
    });
    return;
  }
  visit_dtype(
      "grouped_matmul", x,
      [&]<class T>(T) {
        const int64_t in = x.size(1), out = y.size(1);
        std::vector<cpu::Gemm<T>> products, small;
        for_experts(offsets, [&](int64_t e, int64_t begin, int64_t count) {
          T *const x_rows = data<T>(x) + begin * in, *const y_rows = data<T>(y) + begin * out,
                   *const matrix = data<T>(weight) + e * in * out;
          cpu::Gemm<T> product;
          if (wanted == Wanted::Output)
            product = {count, out, in, x_rows, in, false, matrix, in, true, y_rows, out};
          if (wanted == Wanted::Input)
            product = {count, in, out, y_rows, out, false, matrix, in, false, x_rows, in};
          if (wanted == Wanted::Weight)
            product = {out, in, count, y_rows, out, true, x_rows, in, false, matrix, in};
          // decoding: packing would cost more than the product
          const bool is_small = !has_gradient && wanted == Wanted::Output && count < kFewRows;
          (is_small ? small : products).push_back(product);
        });
        multiply_all(products);
        multiply_few_rows(small);
      },
      2 * static_cast<double>(x.numel()) * static_cast<double>(y.size(1)));
}

}  // namespace

at::Tensor grouped_matmul(const at::Tensor& x_AI, const WeightView& weight_EOI,
                          const std::vector<int64_t>& expert_offsets) {
  check(x_AI, weight_EOI.values, expert_offsets);
  const bool records = is_recorded({x_AI, weight_EOI.leaf});
  const c10::AutoGradMode off(false);
  const at::Tensor x = x_AI.detach().contiguous(), weight = weight_EOI.values.detach().contiguous();
  const at::Tensor y = at::empty({x.size(0), weight.size(1)}, x.options());
  multiply_experts(x, weight, y, expert_offsets, Wanted::Output, records);
  if (!records) return y;
  const c10::AutoGradMode on(true);
  // each is kept for the gradient of the other only: frozen experts keep no activations
  const at::Tensor saved_x = weight_EOI.leaf.requires_grad() ? x : at::Tensor();
  const at::Tensor saved_weight = x_AI.requires_grad() ? weight : at::Tensor();
  return record(
      y, {x_AI, weight_EOI.leaf}, {saved_x, saved_weight},
      [expert_offsets](const BackwardCall& call) {
        const at::Tensor &x_saved = call.saved[0], &weight_saved = call.saved[1];
        const at::Tensor grad = call.grad.contiguous();
        at::Tensor grad_x, grad_weight;
        if (call.is_needed[0]) {
          grad_x = at::empty({grad.size(0), weight_saved.size(2)}, grad.options());
          multiply_experts(grad_x, weight_saved, grad, expert_offsets, Wanted::Input);
        }
        if (call.is_needed[1]) {
          const auto num_experts = static_cast<int64_t>(expert_offsets.size()) - 1;
          grad_weight = at::empty({num_experts, grad.size(1), x_saved.size(1)}, grad.options());
          for (int64_t e = 0; e < num_experts; ++e)
            if (expert_offsets[static_cast<size_t>(e)] ==
                expert_offsets[static_cast<size_t>(e) + 1])
              grad_weight.select(0, e).zero_();
          multiply_experts(x_saved, grad_weight, grad, expert_offsets, Wanted::Weight);
        }
        return std::vector<at::Tensor>{grad_x, grad_weight};
      });
}

}  // namespace flanmoe::ops
