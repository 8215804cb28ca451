#include <c10/core/GradMode.h>

#include "ops/autograd.h"
#include "ops/products.h"
#include "ops/tensors.h"
#include "ops/transformer.h"

namespace flanmoe::ops {

namespace {

void check(const at::Tensor& x, const WeightView& weight) {
  const at::Tensor& values = weight.values;
  if (x.dim() < 1 || values.dim() != 2 || x.size(-1) != values.size(1))
    fail(ErrorCode::ShapeMismatch,
         "[ops.linear] x is {} but weight is {}; [..., in] and [out, in] are expected",
         shape_text(x), shape_text(values));
  if (x.scalar_type() != values.scalar_type())
    fail(ErrorCode::InvalidArgument, "[ops.linear] x is {} but weight is {}; one dtype is expected",
         c10::toString(x.scalar_type()), c10::toString(values.scalar_type()));
  if (weight.leaf.sizes() != values.sizes())
    fail(ErrorCode::ShapeMismatch, "[ops.linear] weight is {} but its gradient's leaf is {}",
         shape_text(values), shape_text(weight.leaf));
}

at::Tensor to_matrix(const at::Tensor& x) {
  const Rows rows = as_rows(x);
  return rows.tensor.as_strided({rows.num_rows, rows.num_columns}, {rows.stride, 1});
}

}  // namespace

at::Tensor linear(const at::Tensor& x, const WeightView& weight_OI) {
  check(x, weight_OI);
  const bool records = is_recorded({x, weight_OI.leaf});
  const c10::AutoGradMode off(false);
  const at::Tensor rows = to_matrix(x.detach()), weight = weight_OI.values.detach().contiguous();
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = weight.size(0);
  const at::Tensor y = at::empty(shape, x.options());
  multiply(rows, weight.t(), y.view({rows.size(0), weight.size(0)}));
  if (!records) return y;
  const c10::AutoGradMode on(true);
  // each is kept for the gradient of the other only: a frozen weight keeps no activations
  const at::Tensor saved_rows = weight_OI.leaf.requires_grad() ? rows : at::Tensor();
  const at::Tensor saved_weight = x.requires_grad() ? weight : at::Tensor();
  return record(y, {x, weight_OI.leaf}, {saved_rows, saved_weight},
                [input_shape = x.sizes().vec()](const BackwardCall& call) {
                  const at::Tensor &rows_saved = call.saved[0], &weight_saved = call.saved[1];
                  const at::Tensor grad = to_matrix(call.grad);
                  at::Tensor grad_x, grad_weight;
                  if (call.is_needed[0]) {
                    grad_x = at::empty(input_shape, grad.options());
                    multiply(grad, weight_saved, grad_x.view({grad.size(0), weight_saved.size(1)}));
                  }
                  if (call.is_needed[1]) {
                    grad_weight = at::empty({grad.size(1), rows_saved.size(1)}, grad.options());
                    multiply(grad.t(), rows_saved, grad_weight);
                  }
                  return std::vector<at::Tensor>{grad_x, grad_weight};
                });
}

}  // namespace flanmoe::ops
